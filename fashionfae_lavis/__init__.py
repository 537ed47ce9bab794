"""FashionFAE for LAVIS.

LAVIS finds this package without an import; see `fashionfae_lavis.plugin`. Importing the package registers it where
automatic registration is turned off. The import is cheap, because it loads neither torch nor LAVIS. It sets what OpenMP
reads when torch is loaded; see `fashionfae_lavis.threads`.
"""

import fashionfae_lavis_autoload

from fashionfae_lavis.threads import configure_openmp

configure_openmp()
fashionfae_lavis_autoload.install()
