"""The project as a package: cloned as `bert/`, it gives `from bert import modeling`.

The scripts among its modules import `bert_my`, which is then found beside them.
"""

import os
import sys

_FOLDER = os.path.dirname(os.path.abspath(__file__))
if _FOLDER not in sys.path:
    # At the end: the modules of the program that has the clone come first.
    sys.path.append(_FOLDER)
