"""From pixels to features and results. A notebook's backend for pictures is not inherited."""

import os
import sys

# A notebook hands its backend on to the programs it starts, whose environment may not have it.
# Pictures need none. In the notebook itself it is left as it is.
if "ipykernel" not in sys.modules and os.environ.get("MPLBACKEND", "").startswith("module://"):
    os.environ["MPLBACKEND"] = "agg"
