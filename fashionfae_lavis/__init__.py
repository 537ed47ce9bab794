"""FashionFAE for LAVIS.

LAVIS finds this package without an import: see `fashionfae_lavis.plugin`. Importing it is cheap, as it imports neither
torch nor LAVIS, and registers it where the automatic registration is turned off.
"""

import fashionfae_lavis_autoload

fashionfae_lavis_autoload.install()
