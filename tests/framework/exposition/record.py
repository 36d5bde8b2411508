"""Records what controller-runtime exports; needs Go.

python -m tests.framework.exposition.record
"""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
RECORDED = HERE / "controller-runtime.json"


def main() -> None:
    done = subprocess.run(
        ["go", "run", "."], cwd=HERE / "recorder", check=True, stdout=subprocess.PIPE
    )
    RECORDED.write_bytes(done.stdout)


if __name__ == "__main__":
    main()
