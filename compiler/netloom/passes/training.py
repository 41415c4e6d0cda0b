"""Train sections: settings to a checked program. Nothing here, or below it, imports PyTorch.

1. Each setting is checked on its own, so that all mistakes of a section are told at once.
2. A loss is flattened into terms, each a number times a loss of the registry.
3. Losses and metrics read inputs, targets and heads: losses those heads that exist in training,
   metrics those that exist when the network is evaluated.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NoReturn, TypeVar

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note, Span, unknown_name
from netloom.ir.declared import Reject
from netloom.ir.graph import Graph
from netloom.passes.binding import Bound, Call, bind, coerce
from netloom.passes.expressions import BUILD_FUNCTIONS, Names, evaluate, text_of
from netloom.passes.modules import Module
from netloom.syntax import ast
from netloom.train.augmentations import Augmentation
from netloom.train.losses import Loss
from netloom.train.metrics import Metric
from netloom.train.operands import reads
from netloom.train.optimizers import Optimizer
from netloom.train.program import NUMBERS, Program, Term, call_text, visible
from netloom.train.schedules import Schedule
from netloom.train.sources import resolve

SETTINGS = ("data", "augment", "loss", "optimizer", "schedule", *NUMBERS, "metric")

Item = TypeVar("Item")
Result = TypeVar("Result")
Record = TypeVar("Record", Loss, Metric, Optimizer, Schedule, Augmentation)


def check_trainings(
    module: Module, graphs: Mapping[str, Graph], diagnostics: Diagnostics
) -> dict[str, Program]:
    """The train sections of a spec, by network; those with mistakes are left out and reported.

    `graphs` are the networks that could be built.
    """
    programs: dict[str, Program] = {}
    first: dict[str, ast.Name] = {}
    items = module.file.items
    networks = [item.name.text for item in items if isinstance(item, ast.Network)]
    for train in (item for item in items if isinstance(item, ast.Train)):
        name = train.network
        if name.text in module.damaged:
            continue
        if name.text not in networks:
            message = f"there is no network `{name.text}` to train"
            found = unknown_name("E201", message, name.span, name.text, networks, networks)
            diagnostics.report(found)
        elif name.text in first:
            note = Note("the first one is here", first[name.text].span)
            message = f"network `{name.text}` has two train sections"
            diagnostics.report(Diagnostic("E211", message, name.span, notes=(note,)))
        else:
            first[name.text] = name
            program = check_training(train, graphs.get(name.text), diagnostics)
            if program is not None:
                programs[name.text] = program
    return programs


def check_training(
    train: ast.Train, graph: Graph | None, diagnostics: Diagnostics
) -> Program | None:
    """The program of a train section, or None if there were mistakes, which are reported.

    Without a graph, because the network has mistakes of its own, only what does not depend on it is
    checked.
    """
    section = _Section(train, graph)
    section.check()
    for diagnostic in section.diagnostics.found:
        diagnostics.report(diagnostic)
    if graph is None or section.diagnostics.found:
        return None
    return Program(graph=graph, **section.fields)


class _Section:
    """Checks one train section; `fields` become those of the program."""

    def __init__(self, train: ast.Train, graph: Graph | None) -> None:
        self.train = train
        self.graph = graph
        self.diagnostics = Diagnostics()
        self.given: dict[str, Span] = {}
        self.fields: dict[str, Any] = {}

    def check(self) -> None:
        """Checks the settings, the schedule last, because it must fit into the epochs."""
        for setting in sorted(self.train.settings, key=lambda each: each.name.text == "schedule"):
            name = setting.name
            if name.text in self.given and name.text != "metric":
                note = Note("it is already given here", self.given[name.text])
                message = f"`{name.text}` is given twice"
                self.diagnostics.report(Diagnostic("E211", message, name.span, notes=(note,)))
                continue
            self.given[name.text] = name.span
            try:
                self._setting(setting)
            except Failed as failure:
                for diagnostic in failure.diagnostics:
                    self.diagnostics.report(diagnostic)
        if "loss" not in self.given:
            network = self.train.network
            message = f"the training of `{network.text}` needs a `loss`"
            help = "for instance `loss cross_entropy(logits, label)`"
            self.diagnostics.report(Diagnostic("E502", message, network.span, help=help))

    def _setting(self, setting: ast.Setting | ast.Calls) -> None:
        name = setting.name
        if name.text not in SETTINGS:
            message = f"there is no setting `{name.text}`"
            raise Failed(unknown_name("E501", message, name.span, name.text, SETTINGS))
        if isinstance(setting, ast.Calls):
            if name.text != "augment":
                _fail(f"`{name.text}` is one value, not a list in braces", name.span)
            self.fields["augment"] = tuple(_gather(_augmentation, setting.calls))
            return
        value = setting.value
        match name.text:
            case "augment":
                help = "`augment { rotate(10) }`, one call after the other"
                _fail("`augment` is a list in braces", value.span, help)
            case "data":
                self.fields["data"] = _data(value)
            case "loss":
                self._loss(value)
            case "metric":
                self._metric(value)
            case "optimizer":
                self.fields["optimizer"] = _make(Optimizer, value, Names(), _check)[0]
            case "schedule":
                self.fields["schedule"] = _make(Schedule, value, Names(), self._check_length)[0]
            case number:
                what = f"train section `{self.train.network.text}`"
                constant = evaluate(value, Names())
                self.fields[number] = coerce(constant, NUMBERS[number], value.span, what)

    def _check_length(self, schedule: Schedule) -> None:
        """Asks a schedule whether it fits; not where the epochs themselves are a mistake."""
        if "epochs" in self.fields or "epochs" not in self.given:
            schedule.check(self.fields.get("epochs", NUMBERS["epochs"].default))

    def _loss(self, value: ast.Expression) -> None:
        if self.graph is not None:
            self.fields["loss"] = tuple(_terms(value, 1.0, self.graph))
            self.fields["loss_span"] = value.span

    def _metric(self, value: ast.Expression) -> None:
        if self.graph is None:
            return
        metric, bound = _make(Metric, value, _names(self.graph), _check)
        _check_visible(metric, bound, self.graph, "infer")
        others = self.fields.setdefault("metrics", ())
        if call_text(metric) in map(call_text, others):
            message = f"`{call_text(metric)}` is given twice"
            raise Failed(Diagnostic("E211", message, value.span))
        self.fields["metrics"] = (*others, metric)


# ---- the settings


def _data(value: ast.Expression) -> Any:
    if not isinstance(value, ast.Text):
        _fail("`data` is a string", value.span, '`data "digits"`')
    return resolve(value.value, value.span)


def _augmentation(call: ast.Call) -> list[Augmentation]:
    application = ast.Application(call.name, call.arguments or (), call.span)
    return [_make(Augmentation, application, Names(), _check)[0]]


def _terms(expression: ast.Expression, weight: float, graph: Graph) -> list[Term]:
    """The summands of a loss, each with the product of all the numbers before it."""
    match expression:
        case ast.Application():
            loss, bound = _make(Loss, expression, _names(graph), _check)
            _check_visible(loss, bound, graph, "train")
            return [Term(weight, loss)]
        case ast.Unary(operator="-"):
            return _terms(expression.operand, -weight, graph)
        case ast.Chain(rest=((("+" | "-"), _), *_)):
            summands = (("+", expression.first), *expression.rest)
            return _gather(
                lambda each: _terms(each[1], weight if each[0] == "+" else -weight, graph), summands
            )
        case ast.Chain(rest=((("*" | "/"), _), *_)):
            return _weighted(expression, weight, graph)
        case _:
            help = "a loss is a sum of calls: `cross_entropy(logits, label) + 0.1*mse(copy, image)`"
            raise Failed(Diagnostic("E503", "this is not a loss", expression.span, help=help))


def _weighted(product: ast.Chain, weight: float, graph: Graph) -> list[Term]:
    """A product of numbers and one loss, or a loss divided by numbers."""
    losses: list[ast.Expression] = []
    for operator, factor in (("*", product.first), *product.rest):
        if _has_call(factor):
            if operator != "*" or losses:
                message = "a loss can be multiplied by numbers, or divided by them"
                _fail(message, factor.span)
            losses.append(factor)
            continue
        number = evaluate(factor, Names())
        if isinstance(number, bool) or not isinstance(number, int | float):
            _fail(f"the weight of a loss is a number, not {text_of(number)}", factor.span)
        if operator not in ("*", "/") or (operator == "/" and number == 0):
            _fail(f"a loss cannot be made with `{operator} {text_of(number)}`", factor.span)
        weight = weight * number if operator == "*" else weight / number
    if not losses:
        _fail("this is a number, not a loss", product.span)
    return _terms(losses[0], weight, graph)


def _has_call(expression: ast.Expression) -> bool:
    match expression:
        case ast.Application():
            return True
        case ast.Unary():
            return _has_call(expression.operand)
        case ast.Chain():
            return any(map(_has_call, (expression.first, *(each for _, each in expression.rest))))
    return False


def _gather(check: Callable[[Item], list[Result]], items: Iterable[Item]) -> list[Result]:
    """All results together. Raises `Failed` with the mistakes of every item."""
    results: list[Result] = []
    diagnostics = Diagnostics()
    for item in items:
        try:
            results += check(item)
        except Failed as failure:
            for diagnostic in failure.diagnostics:
                diagnostics.report(diagnostic)
    diagnostics.raise_if_any()
    return results


# ---- records


def _names(graph: Graph) -> Names:
    heads = {head.name: head.value for head in graph.heads}
    return Names({**graph.named, **heads}, functions=BUILD_FUNCTIONS)


def _check(record: Loss | Metric | Optimizer | Augmentation) -> None:
    record.check()


def _make(
    family: type[Record], value: ast.Expression, names: Names, check: Callable[[Record], None]
) -> tuple[Record, Bound]:
    """The record that a call such as `adam(lr=0.01)` means; without arguments, its name will do."""
    if isinstance(value, ast.Variable):
        value = ast.Application(ast.Name(value.name, value.span), (), value.span)
    if not isinstance(value, ast.Application):
        article = "an" if family.family[0] in "aeiou" else "a"
        help = "such as " + ", ".join(f"`{name}(…)`" for name in list(family.registry)[:2])
        _fail(f"this is not a call of {article} {family.family}", value.span, help)
    declared = family.registry.get(value.name.text)
    if declared is None:
        name = value.name
        message = f"there is no {family.family} `{name.text}`"
        raise Failed(unknown_name("E503", message, name.span, name.text, family.registry))
    call = Call(value.name, value.arguments, f"{family.family} `{declared.name}`")
    bound = bind(declared, call, names)
    record = declared(**bound.fields)
    try:
        check(record)
    except Reject as reject:
        raise Failed(_rejection(reject, record, bound, value.span)) from None
    return record, bound


def _rejection(reject: Reject, record: Any, bound: Bound, span: Span) -> Diagnostic:
    """A rule's refusal at its place, with where the operands were declared or made."""
    subject = f"`{record.name}` " if reject.message.startswith("needs ") else f"`{record.name}`: "
    notes = tuple(
        Note(f"`{value.name}` is {value.type}", value.span) for value in reads(record) if value.span
    )
    place = bound.spans.get(reject.at or "", span)
    return Diagnostic(reject.code, subject + reject.message, place, "", notes, reject.help)


def _check_visible(
    record: Loss | Metric, bound: Bound, graph: Graph, mode: Literal["train", "infer"]
) -> None:
    """Refuses operands that are inside the network, or heads of the other mode."""
    seen = visible(graph, mode)
    what = f"a {record.family}"
    for field in record.signature():
        if not field.is_operand or bound.fields[field.name] in seen:
            continue
        value = bound.fields[field.name]
        heads = ", ".join(f"`{head.name}`" for head in graph.heads_in(mode))
        if any(head.value is value for head in graph.heads):
            when = "in training" if mode == "train" else "when the network is evaluated"
            message = f"`{value.name}` does not exist {when}, so {what} cannot read it"
            help = f"heads that do: {heads}" if heads else None
        else:
            message = f"`{value.name}` is not a head, so {what} cannot read it"
            keyword = "train head" if mode == "train" else "head"
            help = f"make it one: `{keyword} {value.name}`"
        raise Failed(Diagnostic("E508", message, bound.spans[field.name], help=help))


def _fail(message: str, span: Span, help: str | None = None) -> NoReturn:
    raise Failed(Diagnostic("E503", message, span, help=help))
