"""Architectures of timm, torchvision and transformers with random weights, small where they can."""

import re
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.library import Library

__all__ = ["NAMES", "load_libraries", "make"]

IMAGES = 8  # in a batch

TIMM = """
resnet18 resnet50 resnext50_32x4d seresnet33ts skresnet18 resnest14d res2net50_14w_8s regnetx_002
regnety_002 regnetz_b16 resnetv2_50 resnetv2_50d_gn densenet121 vgg11_bn mobilenetv2_100
mobilenetv3_small_100 mobilenetv4_conv_small efficientnet_b0 efficientnetv2_rw_t
tf_efficientnet_b0 convnext_atto convnextv2_atto repvgg_a0 ghostnet_100 ghostnetv2_100 nf_resnet26
eca_nfnet_l0 xception41 inception_v3 inception_v4 inception_next_atto dla34 hrnet_w18_small
cspresnet50 cspdarknet53 darknet53 ese_vovnet19b_dw mnasnet_100 fbnetc_100 tinynet_a lcnet_050
rexnet_100 mixnet_s selecsls42b gernet_s botnet26t_256 halonet26t lambda_resnet26t gcresnet33ts
ecaresnet26t dpn48b hgnetv2_b0 starnet_s1 mobileone_s0 repvit_m1 fastvit_t8 mambaout_femto
rdnet_tiny vit_tiny_patch16_224 deit_tiny_patch16_224 swin_tiny_patch4_window7_224
swinv2_tiny_window8_256 cait_xxs24_224 coat_tiny coat_lite_tiny gmlp_s16_224 resmlp_12_224
mixer_s32_224 poolformer_s12 pvt_v2_b0 edgenext_xx_small levit_128s xcit_nano_12_p16_224
beit_base_patch16_224 eva02_tiny_patch14_224 mobilevit_xxs mobilevitv2_050 crossvit_tiny_240
convit_tiny visformer_tiny tnt_s_patch16_224 twins_svt_small pit_ti_224 volo_d1_224 nest_tiny
efficientformer_l1 efficientvit_b0 efficientvit_m0 mvitv2_tiny davit_tiny focalnet_tiny_srf
hiera_tiny_224 tiny_vit_5m_224 sequencer2d_s nextvit_small shvit_s1 swiftformer_xs caformer_s18
maxvit_nano_rw_256
""".split()

TORCHVISION = """
alexnet squeezenet1_1 googlenet shufflenet_v2_x0_5 mnasnet0_5 vit_b_32 swin_t convnext_tiny
segmentation.deeplabv3_mobilenet_v3_large segmentation.lraspp_mobilenet_v3_large
segmentation.fcn_resnet50
""".split()

SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}
WORDS = SMALL | {"intermediate_size": 128}
DECODER = WORDS | {"num_key_value_heads": 2}
SIDES = {
    f"{side}_{key}": n
    for side in ("encoder", "decoder")
    for key, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 128))
}
SOUNDS = {"conv_dim": (32, 32), "conv_stride": (5, 2), "conv_kernel": (10, 3)}
PATCHES = {k: v for k, v in WORDS.items() if k != "vocab_size"} | {"image_size": 64}
TRANSFORMERS = {  # name → class, configuration, options, what it takes if not words or images
    "bert": ("BertModel", "BertConfig", WORDS),
    "roberta": ("RobertaModel", "RobertaConfig", WORDS),
    "electra": ("ElectraModel", "ElectraConfig", WORDS),
    "albert": ("AlbertModel", "AlbertConfig", WORDS | {"embedding_size": 32}),
    "deberta": ("DebertaV2Model", "DebertaV2Config", WORDS),
    "distilbert": (
        *("DistilBertModel", "DistilBertConfig"),
        {"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4, "vocab_size": 100},
    ),
    "gpt2": (
        *("GPT2LMHeadModel", "GPT2Config"),
        {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100},
    ),
    "bloom": ("BloomForCausalLM", "BloomConfig", SMALL | {"n_layer": 2, "n_head": 4}),
    "falcon": ("FalconForCausalLM", "FalconConfig", SMALL),
    "mamba": ("MambaForCausalLM", "MambaConfig", SMALL | {"state_size": 8}),
    "t5": (
        *("T5EncoderModel", "T5Config"),
        {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
        | {"vocab_size": 100},
    ),
    "bart": ("BartModel", "BartConfig", SIDES | {"d_model": 64, "vocab_size": 100}),
    "opt": (
        *("OPTForCausalLM", "OPTConfig"),
        SMALL | {"ffn_dim": 128, "word_embed_proj_dim": 64},
    ),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", WORDS | {"use_cache": False}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", DECODER),
    "mistral": ("MistralForCausalLM", "MistralConfig", DECODER),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", DECODER),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", DECODER | {"head_dim": 16}),
    "phi": ("PhiForCausalLM", "PhiConfig", DECODER),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", DECODER | {"pad_token_id": 0}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", DECODER | {"head_dim": 16}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", DECODER | {"num_local_experts": 4}),
    "hf_vit": ("ViTModel", "ViTConfig", PATCHES | {"patch_size": 16}),
    "clip_vision": ("CLIPVisionModel", "CLIPVisionConfig", PATCHES | {"patch_size": 16}),
    "dinov2": ("Dinov2Model", "Dinov2Config", PATCHES | {"patch_size": 16, "mlp_ratio": 2}),
    "segformer": (
        *("SegformerForSemanticSegmentation", "SegformerConfig"),
        {"depths": [1] * 4, "decoder_hidden_size": 32},
    ),
    "yolos": ("YolosModel", "YolosConfig", PATCHES | {"image_size": [64, 64]}),
    "hf_swin": (
        *("SwinModel", "SwinConfig"),
        {"image_size": 64, "embed_dim": 32, "depths": [1, 2], "num_heads": [2, 4]},
    ),
    "hf_mobilevit": ("MobileViTModel", "MobileViTConfig", {"image_size": 64}),
    "whisper": (
        *("WhisperModel", "WhisperConfig"),
        SIDES | {"d_model": 64, "num_mel_bins": 20, "max_source_positions": 32},
        (20, 64),
    ),
    "wav2vec2": (
        *("Wav2Vec2Model", "Wav2Vec2Config"),
        {k: v for k, v in WORDS.items() if k != "vocab_size"}
        | SOUNDS
        | {"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 16}
        | {"num_conv_pos_embedding_groups": 4},
        (800,),
    ),
    "hf_convnext": ("ConvNextModel", "ConvNextConfig", {"depths": [1, 1, 2, 1]}),
}
NAMES = [*TIMM, *(f"tv_{name}" for name in TORCHVISION), *TRANSFORMERS]


def make(name: str) -> tuple[nn.Module, Tensor]:
    """A network, and a batch that it takes."""
    if name in TRANSFORMERS:
        return _transformer(*TRANSFORMERS[name])
    return _torchvision(name[3:]) if name.startswith("tv_") else _timm(name)


def _timm(name: str) -> tuple[nn.Module, Tensor]:
    import timm

    for options in ({"img_size": 64}, {}):
        try:
            model = timm.create_model(name, num_classes=10, **options).eval()
        except (TypeError, AssertionError, RuntimeError, ValueError):
            continue
        for size in dict.fromkeys((64, 128, model.default_cfg["input_size"][-1])):
            if _takes(model, size):
                return model, torch.randn(IMAGES, 3, size, size)
    raise RuntimeError(f"{name} takes no images")


def _torchvision(name: str) -> tuple[nn.Module, Tensor]:
    from torchvision import models

    place, _, leaf = name.rpartition(".")
    builder: Callable[..., nn.Module] = getattr(getattr(models, place) if place else models, leaf)
    options = {"weights_backbone": None} if place else {}
    options |= {"image_size": 64} if name.startswith("vit") else {}
    options |= {"init_weights": True} if name == "googlenet" else {}
    model = builder(num_classes=10, **options).eval()
    size = next(size for size in (64, 128, 224) if _takes(model, size))
    return model, torch.randn(IMAGES, 3, size, size)


def _transformer(
    kind: str, config: str, options: dict, shape: tuple[int, ...] = (3, 64, 64)
) -> tuple[nn.Module, Tensor]:
    import transformers

    model = getattr(transformers, kind)(getattr(transformers, config)(**options)).eval()
    model = model.encoder if kind == "WhisperModel" else model
    if "vocab_size" in options:
        return model, torch.randint(0, 100, (IMAGES, 12))
    return model, torch.randn(IMAGES, *shape)


@torch.no_grad()
def _takes(model: nn.Module, size: int) -> bool:
    try:
        model(torch.randn(2, 3, size, size))
    except Exception:  # of foreign code: another size may do
        return False
    return True


def load_libraries() -> None:
    """Import all three, torchvision without the compiled operations that it may lack."""
    stubs = Library("torchvision", "FRAGMENT")
    while True:
        try:
            import torchvision  # noqa: F401
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            stubs.define(f"{missing[1]}(Tensor values) -> Tensor")
            for name in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[name]
        else:
            load_libraries.keep = stubs  # its definitions live as long as it does
            break
    import timm  # noqa: F401
    import torchvision.models.segmentation  # noqa: F401
    import transformers

    transformers.logging.set_verbosity_error()
