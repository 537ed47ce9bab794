"""FashionFAE inside LAVIS.

Nothing has to be imported from here for LAVIS to know us: see `fashionfae_lavis.plugin`. Importing this
package is cheap (neither torch nor LAVIS), and registers us by hand where the automatic way is turned off.
"""

import fashionfae_lavis_autoload

fashionfae_lavis_autoload.install()
