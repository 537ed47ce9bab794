"""FashionFAE for LAVIS.

LAVIS finds this package without an import; see `fashionfae_lavis.plugin`. Importing the package registers it where
automatic registration is turned off. The import is cheap, because it loads neither torch nor LAVIS.
"""

import fashionfae_lavis_autoload

fashionfae_lavis_autoload.install()
