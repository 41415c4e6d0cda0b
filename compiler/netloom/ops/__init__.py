"""The operators, one file a family. Importing this package registers all of them."""

from netloom.ops import (
    activation as activation,
)
from netloom.ops import (
    conv as conv,
)
from netloom.ops import (
    linear as linear,
)
from netloom.ops import (
    merge as merge,
)
from netloom.ops import (
    norm as norm,
)
from netloom.ops import (
    pool as pool,
)
from netloom.ops import (
    recurrent as recurrent,
)
from netloom.ops import (
    region as region,
)
from netloom.ops import (
    resize as resize,
)
