"""On what it ran, in a line: last digits and seconds differ from machine to machine."""

import os
import platform

__all__ = ["on_what"]


def on_what() -> str:
    """Processor, cores and threads, versions: what a report from elsewhere should name."""
    import numpy
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return (
        f"{_processor()} ({capability}), {os.cpu_count()} cores, {torch.get_num_threads()} threads"
        f", Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {numpy.__version__}, {platform.system()}"
    )


def _processor() -> str:
    """The name of the processor, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            ]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
