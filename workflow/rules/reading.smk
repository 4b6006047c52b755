"""Reading: the configuration's files, before Snakemake reads them, so that an error names the file, line and column.

What follows `--configfile` Snakemake has read already; where it could not, `cnntention status --configfile` tells more.
"""

import os
import sys

from cnntention.config import read
from cnntention.errors import UserError

try:
    for file in ("config.yaml", *workflow.overwrite_configfiles):
        if os.path.exists(file) and not workflow.remote_exec:
            read(file)
except UserError as error:
    sys.exit(str(error))
