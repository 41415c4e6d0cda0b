"""Spec names as Python identifiers, and paths as keys of a state dict.

The mapping is injective and leaves almost every name as it is. `half` would replace a method of
nn.Module without a word, `class` is no identifier, and `__x` would be mangled by Python itself.
"""

import builtins
import keyword
import re
from functools import lru_cache

# dir(torch.nn.Module()), public names; a test compares. `check` must not import torch for it.
MODULE_NAMES = frozenset(
    name
    for name in """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters parameters register_backward_hook register_buffer register_forward_hook
    register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
    zero_grad
    """.split()  # noqa: SIM905  a list would take a page
)

_IMPORTED = {"F", "OrderedDict", "Tensor", "nn", "torch", "torchvision"}
_LOCAL = {"self", "outputs", "check_sizes", "takes"}
_LIBRARY = {
    "Crop",
    "DropPath",
    "LayerNorm2d",
    "SamePad",
    "Scale",
}  # the classes of emit/torch/library.py

RESERVED = MODULE_NAMES | set(keyword.kwlist) | set(keyword.softkwlist) | set(dir(builtins))
RESERVED |= _IMPORTED | _LOCAL | _LIBRARY


@lru_cache(maxsize=4096)
def identifier(name: str) -> str:
    """The name as a Python attribute or variable; two names never become one."""
    if re.match("x*_", name):
        return f"x{name}"
    if name.rstrip("_") in RESERVED:
        return f"{name}_"
    return name


def state_key(path: str) -> str:
    """The key under which a state dict holds what the spec calls by this path."""
    return ".".join(identifier(part) for part in path.split("."))


def class_name(*words: str) -> str:
    """Words and names joined in capitals: `("inception", "branch2")` is `InceptionBranch2`."""
    parts = [part for word in words for part in word.split("_") if part]
    camel = "".join(part[0].upper() + part[1:] for part in parts)
    if not camel[:1].isalpha():
        return f"Block{camel}"
    return f"{camel}_" if camel in RESERVED else camel
