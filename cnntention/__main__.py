import sys

from cnntention.cli import main

sys.exit(main())
