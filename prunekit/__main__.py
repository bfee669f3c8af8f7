"""``python -m prunekit``: a one-minute tour, a look at this machine, or a class's grades."""

import argparse
import sys
from functools import partial

DEFAULTS = {"command": "tour", "data": "shapes32", "macs": 0.5, "download": False}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0 when all went well."""
    parser = argparse.ArgumentParser(prog="python -m prunekit", description=__doc__)
    parser.set_defaults(**DEFAULTS)
    commands = parser.add_subparsers(dest="command")
    tour = commands.add_parser("tour", help="prune a trained ResNet-20 and compare (the default)")
    commands.add_parser("doctor", help="check this machine, with a cure for each failure")
    _add_grade(commands.add_parser("grade", help="grade a folder of exercise notebooks"))
    for target in (parser, tour):  # the options of the default command may stand alone
        option = partial(target.add_argument, default=argparse.SUPPRESS)
        option("--data", choices=["shapes32", "cifar10"], help="images to use (default shapes32)")
        option("--macs", type=float, help="fraction of MACs to keep (default 0.5)")
        option("--download", action="store_true", help="fetch CIFAR-10 (162 MB) if it is not here")
    options = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # consoles that have no ✓
    try:
        if options.command == "grade":
            from prunekit.classroom.grading import grader

            return grader.main(**{n: v for n, v in vars(options).items() if n not in DEFAULTS})
        if options.command == "doctor":
            from prunekit.classroom import doctor

            return doctor.main()
        from prunekit.classroom import tour as guide

        guide.main(options.data, options.macs, download=options.download)
    except (FileNotFoundError, ValueError) as error:
        print(f"prunekit: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        cure = 'the course needs more than the library: pip install "prunekit[course]"'
        print(f"prunekit: {error}; {cure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _add_grade(grade: argparse.ArgumentParser) -> None:
    """The options of ``grade``; their defaults are those of `grading.grader.grade`."""
    option = partial(grade.add_argument, default=argparse.SUPPRESS)
    grade.add_argument("folder", help="holds *.ipynb, or a folder with *.ipynb per student")
    option("--out", help="CSV file to write (default FOLDER/grades.csv)")
    option("--seed", type=int, help="of the random data (default: a new one, printed)")
    option("--minutes", type=float, help="for a notebook at most (default 3)")
    option("--seconds", type=float, help="for a cell or a check at most (default 30)")
    option("--memory", type=float, help="GiB for a notebook at most (default 4)")
    option("--jobs", type=int, help="notebooks at a time (default: one per core)")
    option("--isolation", choices=["auto", "always", "never"], help="bubblewrap (default auto)")


if __name__ == "__main__":
    sys.exit(main())
