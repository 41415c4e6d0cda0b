"""Regions of an image: operators whose result size only the data decides."""

from netloom.ir.call import Function
from netloom.ir.declared import Reject, arg, operand
from netloom.ir.dims import size
from netloom.ir.equality import Proved, equal
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.ir.window import Reach


class NonMaximumSuppression(Op, name="nms"):
    """Indices of the boxes that no better-scored box overlaps too much, best first.

    PyTorch: `torchvision.ops.nms`; ONNX: `NonMaxSuppression`.
    """

    x: Value = operand("boxes [r, 4] as left, top, right, bottom")
    scores: Value = operand("one score a box, [r]")
    iou: float = arg(
        "overlap (intersection over union) above which a box goes", minimum=0, maximum=1
    )

    def result(self) -> Type:
        boxes, scores = self.x.type, self.scores.type
        if boxes.dtype != "float32" or boxes.rank != 2 or boxes.shape[1] != 4:
            raise Reject("E207", f"needs boxes float32[r, 4], but this is {boxes}", "x")
        if scores.dtype != "float32" or scores.rank != 1:
            raise Reject("E207", f"needs scores float32[r], but this is {scores}", "scores")
        if not isinstance(equal(boxes.shape[0], scores.shape[0]), Proved):
            message = f"there are {boxes.shape[0]} boxes and {scores.shape[0]} scores"
            raise Reject("E208", message, "scores")
        return Type("int64", (size("kept", from_data=True),))

    def window(self) -> Reach:
        return "data-dependent"

    def torch(self) -> Function:
        return Function("torchvision.ops.nms", (self.x, self.scores, self.iou))

    def onnx(self) -> tuple[Node, ...]:
        boxes, scores, chosen = Local("boxes"), Local("scores"), Local("chosen")
        most = Constant("int64", (2**31 - 1,))
        iou = Constant("float32", (self.iou,))
        return (
            Node("Unsqueeze", (self.x, Constant("int64", (0,))), {}, (boxes,)),
            Node("Unsqueeze", (self.scores, Constant("int64", (0, 1))), {}, (scores,)),
            Node(
                "NonMaxSuppression",
                (boxes, scores, most, iou),
                {"center_point_box": 0},
                (chosen,),
            ),
            # Rows are (image, class, box).
            Node("Gather", (chosen, Constant("int64", 2)), {"axis": 1}),
        )
