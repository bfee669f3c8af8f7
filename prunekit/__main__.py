"""``python -m prunekit``: a one-minute tour, or a look at this machine."""

import argparse
import sys
from functools import partial


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0 when all went well."""
    parser = argparse.ArgumentParser(prog="python -m prunekit", description=__doc__)
    parser.set_defaults(command="tour", data="shapes32", macs=0.5, download=False)
    commands = parser.add_subparsers(dest="command")
    tour = commands.add_parser("tour", help="prune a trained ResNet-20 and compare (the default)")
    commands.add_parser("doctor", help="check this machine, with a cure for each failure")
    for target in (parser, tour):  # the options of the default command may stand alone
        option = partial(target.add_argument, default=argparse.SUPPRESS)
        option("--data", choices=["shapes32", "cifar10"], help="images to use (default shapes32)")
        option("--macs", type=float, help="fraction of MACs to keep (default 0.5)")
        option("--download", action="store_true", help="fetch CIFAR-10 (162 MB) if it is not here")
    options = parser.parse_args(arguments)
    try:
        if options.command == "doctor":
            from prunekit.classroom import doctor

            return doctor.main()
        from prunekit.classroom import tour as guide

        guide.main(options.data, options.macs, download=options.download)
    except (FileNotFoundError, ValueError) as error:
        print(f"prunekit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
