"""Record what kubectl shows on a real control plane: `python -m tests.contract.kubectl.record`.

Names of sessions after it record those alone.
"""

import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.contract.kubectl import clusters, session
from tests.controlplane import programs


def main() -> int:
    """Record the sessions named on the command line, or all; 1 if one could not be played."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder = programs.ready()
    kubectl = folder / "kubectl"
    failed = 0
    with clusters.real(folder) as site:
        for name in sys.argv[1:] or session.names():
            try:
                with tempfile.TemporaryDirectory() as place:
                    transcript = session.Session(name, site, kubectl, Path(place)).play()
                assert not (said := session.troubles(transcript)), said
                session.answers_path(name).write_text(transcript)
                print(f"{name}: recorded", flush=True)
            except AssertionError as error:
                failed = 1
                print(f"{name}: not recorded: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
