"""What one would write to export an emitted ResNet-50 with a checkpoint: run as a script.

The arguments are the exporter (`dynamo` or `torchscript`), the folder of `resnet50.py`, the
checkpoint, and the model to write.
"""

import logging
import sys
import warnings

import torch
from safetensors.torch import load_file

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

exporter, folder, checkpoint, model = sys.argv[1:]
sys.path.insert(0, folder)
from resnet50 import Resnet50  # type: ignore[import-not-found]  # noqa: E402

with torch.device("meta"):  # no time is lost with weights that are replaced at once
    network = Resnet50()
network.load_state_dict(load_file(checkpoint), assign=True)
network.eval()
image = (torch.zeros(2, 3, 224, 224),)
if exporter == "dynamo":
    shapes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        network, image, model, dynamo=True, dynamic_shapes=shapes, external_data=False
    )
else:
    axes = {"image": {0: "batch"}}
    torch.onnx.export(network, image, model, dynamo=False, input_names=["image"], dynamic_axes=axes)
