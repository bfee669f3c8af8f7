"""How a network's structure is seen: parts in step, branches, numbers, what a pass leaves."""

from tests.mutants.mutant import Mutant

INPUTS = "prunekit/network/inputs.py"
NUMBERS = "prunekit/network/numbers.py"
STATE = "prunekit/network/state.py"
SUMS = "prunekit/network/sums.py"
UNFUSED = "prunekit/network/unfused.py"
VERIFY = "prunekit/network/verify.py"

STRUCTURE = [
    Mutant(
        "parts of a layer lose equally many in every trial",
        *(VERIFY, "fewer = half - parts[site.producers[0]] % 2", "fewer = half"),
        "test_parts",
    ),
    Mutant(
        "what is added is a residual connection, around a layer or not",
        *(SUMS, "order[n] > order[name] or calls[n] > 1", "True"),
        "test_parts",
    ),
    Mutant(
        "numbers of the modules farther out are not looked at",
        *(NUMBERS, "(*inner, *filter(None, outer))", "inner"),
        "test_parts",
    ),
    Mutant(
        "numbers in lists are not looked at",
        *(NUMBERS, "type(value) in (list, tuple)", "False"),
        "test_parts",
    ),
    Mutant(
        "what a pass leaves in dictionaries stays there",
        *(STATE, "                kept.update(old)\n", "                pass\n"),
        "test_parts test_attention",
    ),
    Mutant(
        "outputs are whatever can be iterated over",
        *(INPUTS, "isinstance(values, list | tuple)", "hasattr(values, '__iter__')"),
        "test_parts",
    ),
    Mutant(
        "attention: masks of booleans are added",
        *(UNFUSED, "attn_mask.dtype == torch.bool", "attn_mask.dtype == torch.int"),
        "test_unfused",
    ),
    Mutant(
        "attention: what sees nothing says NaN",
        *(UNFUSED, "scores.softmax(-1).masked_fill(nowhere, 0)", "scores.softmax(-1)"),
        "test_unfused",
    ),
]
