"use strict";

// The page of `netloom view`. The data block holds networks as plain data: lists of values, layers
// and scopes that refer to one another by number. All text of a spec is put on the page as text.

// Sizes: a number, or a sum of products whose factors are names of sizes and rounded quotients.

function evaluate(tree, sizes) {
  if (typeof tree === "number") return tree;
  return tree.reduce((sum, product) => sum + evaluateProduct(product, sizes), 0);
}

function evaluateProduct([coefficient, ...factors], sizes) {
  return factors.reduce((product, factor) => product * evaluateFactor(factor, sizes), coefficient);
}

function evaluateFactor(factor, sizes) {
  if (typeof factor === "string") return sizes[factor] ?? NaN; // only the data decides it
  return Math.floor(evaluate(factor.floor, sizes) / factor.by);
}

const AXES = { 3: { t: 1 }, 4: { h: 2, w: 3 } };

function axesOf(value) {
  return AXES[value.shape.length] ?? {};
}

function lengthsOf(value, sizes) {
  const axes = Object.entries(axesOf(value));
  return Object.fromEntries(axes.map(([axis, at]) => [axis, evaluate(value.shape[at], sizes)]));
}

// What one output position sees of an operand along one axis, on an endless input: `see` is called
// with each pixel.

function range(first, end) {
  return Array.from({ length: Math.max(end - first, 0) }, (_, index) => first + index);
}

const TAPS = {
  window(see, position, kernel, step, pad, dilation) {
    for (let tap = 0; tap < kernel; tap++) see(position * step - pad + tap * dilation);
  },
  transposed(see, position, kernel, step, pad, dilation) {
    const reached = position + pad;
    const first = Math.ceil((reached - dilation * (kernel - 1)) / step);
    const inputs = range(first, Math.floor(reached / step) + 1);
    inputs.filter((input) => (reached - step * input) % dilation === 0).forEach(see);
  },
  stretch(see, position, factor, linear) {
    const source = linear ? (2 * position + 1 - factor) / (2 * factor) : Math.floor(position / factor);
    see(Math.floor(source));
    if (!Number.isInteger(source)) see(Math.floor(source) + 1);
  },
  past(see, position) {
    for (let step = 0; step <= position; step++) see(step);
  },
  fold(see, position, pad) {
    see(position - pad);
  },
};

function foldedBack(at, last, mirrored) {
  if (mirrored) return last - Math.abs(last - Math.abs(at));
  return Math.min(Math.max(at, 0), last);
}

// Adds what positions see of an operand of that size; `endless` leaves out its borders.

function look(found, reach, positions, size, sizes, endless) {
  if (reach[0] === "whole") {
    for (let at = 0; at < size; at++) found.add(at);
    return;
  }
  const [kind, ...numbers] = reach[0] === "shift" ? ["window", 1, 1, evaluate(reach[1], sizes), 1] : reach;
  const see = seeing(found, kind, numbers, size, endless);
  for (const position of positions) TAPS[kind](see, position, ...numbers);
}

function seeing(found, kind, numbers, size, endless) {
  if (endless) return (at) => found.add(at);
  if (kind === "fold") return (at) => found.add(foldedBack(at, size - 1, numbers[1]));
  return (at) => at >= 0 && at < size && found.add(at);
}

// What positions of a value see of every value below it: number of the value to axis to positions.
// Axes are independent, so what is seen of a map is the product. Operands have smaller numbers.

function footprint(network, number, positions, sizes, endless = false) {
  const seen = new Map([[number, positions]]);
  for (let below = number; below >= 0; below--) {
    const own = seen.get(below);
    if (!own || Object.values(own).some((each) => each.size === 0)) continue;
    for (const [operand, reaches] of network.values[below].sees) {
      const found = {};
      const lengths = lengthsOf(network.values[operand], sizes);
      for (const [axis, size] of Object.entries(lengths)) {
        found[axis] = new Set();
        if (reaches === null) own[axis].forEach((at) => found[axis].add(at));
        else look(found[axis], reaches[axis], own[axis] ?? [], size, sizes, endless);
      }
      // What is beside the map along one axis is beside it.
      if (Object.values(found).every((each) => each.size)) join(seen, operand, found);
    }
  }
  return seen;
}

function join(seen, operand, found) {
  const before = seen.get(operand);
  if (!before) seen.set(operand, found);
  else for (const [axis, positions] of Object.entries(found)) positions.forEach((at) => before[axis].add(at));
}

// The hierarchy: scopes know their layers, and which values come in and go out.

function prepare(network) {
  network.layers.forEach((layer, number) => {
    layer.number = number;
    layer.results.forEach((result) => (network.values[result].layer = layer));
  });
  network.readers = network.values.map(() => []);
  network.layers.forEach((layer) =>
    layer.reads.forEach((value) => network.readers[value].push(layer.number)));
  network.heads.forEach((head, index) => network.readers[head.value].push(`head ${index}`));
  prepareScope(network.scope, network);
}

function prepareScope(scope, network) {
  scope.inside = new Set();
  for (const step of scope.steps) {
    if (typeof step === "number") {
      scope.inside.add(step);
      continue;
    }
    prepareScope(step, network);
    step.inside.forEach((layer) => scope.inside.add(layer));
  }
  const layers = [...scope.inside].map((number) => network.layers[number]);
  const made = new Set(layers.flatMap((layer) => layer.results));
  const read = new Set(layers.flatMap((layer) => layer.reads));
  scope.entering = [...read].filter((value) => !made.has(value));
  scope.leaving = [...made].filter((value) =>
    network.readers[value].some((reader) => !scope.inside.has(reader)));
  scope.exported = layers.some((layer) => layer.exported);
  scope.params = ownParameters(layers);
}

function ownParameters(layers) {
  const owned = new Map(layers.map((layer) => [layer.weightsOf ?? layer.name, layer.params]));
  return [...owned.values()].reduce((sum, each) => sum + each, 0);
}

function labelOf(name) {
  return name.slice(name.lastIndexOf(".") + 1);
}

function isSide(scope) {
  return scope.kind === "branch" || scope.kind === "shortcut";
}

// Opens one depth after the other as long as what is then seen can be looked over.

const OVERSEEN = 32;

function openedAtFirst(network) {
  const opened = new Set();
  let visible = network.scope.steps;
  while (visible.length <= OVERSEEN) {
    const scopes = visible.filter((step) => typeof step !== "number");
    if (!scopes.length) break;
    const next = visible.flatMap((step) => step.steps ?? [step]);
    if (next.length > OVERSEEN) break;
    scopes.forEach((scope) => opened.add(scope.name));
    visible = next;
  }
  return opened;
}

function scopesIn(scope) {
  const inner = scope.steps.filter((step) => typeof step !== "number");
  return inner.flatMap((step) => [step, ...scopesIn(step)]);
}

// Layout, one scope at a time, from the inside out: rows by the longest path, an order in each row
// that crosses few lines, then places as straight above one another as the order allows.

const SPACE = { beside: 26, padding: 14, title: 24, straight: 14, bent: 26, label: 20 };

function layoutNetwork(network, opened) {
  const items = network.inputs.concat(network.targets)
    .filter((value) => network.readers[value].length || network.inputs.includes(value))
    .map((value) => inputItem(network, value));
  items.push(...stepItems(network, network.scope, opened));
  items.push(...network.heads.map((head, index) => headItem(network, head, index)));
  return arrange(network, items);
}

function stepItems(network, scope, opened) {
  return scope.steps.map((step) => {
    if (typeof step === "number") return layerItem(network, network.layers[step]);
    return opened.has(step.name) ? openItem(network, step, opened) : foldedItem(network, step);
  });
}

function inputItem(network, value) {
  const text = network.values[value].name;
  const width = textWidth(text, "bold") + 32;
  return { kind: "input", id: `input ${text}`, value, text, reads: [], gives: [value], width, height: 26 };
}

function headItem(network, head, index) {
  const text = head.mode === "both" ? head.name : `${head.name} (${head.mode})`;
  const width = textWidth(text, "bold") + 32;
  const pale = head.mode === "train";
  const { value } = head;
  return { kind: "head", id: `head ${index}`, value, text, pale, reads: [value], gives: [], width, height: 26 };
}

function layerItem(network, layer) {
  const shown = shortened(layer.arguments, 44);
  const name = layer.params ? labelOf(layer.name) : "";
  const wide = textWidth(layer.op, "bold") + (shown ? textWidth(shown) + 6 : 0);
  return {
    kind: "layer", id: `layer ${layer.name}`, value: layer.results[0], layer, name, shown,
    pale: !layer.exported, reads: layer.reads, gives: layer.results,
    width: Math.max(wide, textWidth(name)) + 24, height: name ? 40 : 26,
  };
}

function foldedItem(network, scope) {
  const title = labelOf(scope.name);
  const call = shortened(scope.call, 40);
  const count = `${counted(scope.inside.size, "layer")}, ${grouped(scope.params)} parameters`;
  const wide = Math.max(textWidth(title, "bold") + textWidth(call) + 30, textWidth(count) + 8);
  return {
    kind: "folded", id: `scope ${scope.name}`, value: scopeValue(scope), scope, title, call, count,
    pale: !scope.exported, reads: scope.entering, gives: scope.leaving, width: wide + 24, height: 42,
  };
}

function openItem(network, scope, opened) {
  const inner = arrange(network, stepItems(network, scope, opened), scope.entering, scope.leaving);
  const title = titleOf(scope);
  const wanted = textWidth(title.join(" "), "bold") + 40;
  const extra = Math.max(wanted - inner.width, 0) / 2;
  return {
    kind: "open", id: `scope ${scope.name}`, value: scopeValue(scope), scope, title, inner, extra,
    pale: !scope.exported, reads: scope.entering, gives: scope.leaving,
    width: inner.width + 2 * extra, height: inner.height,
  };
}

function titleOf(scope) {
  const label = labelOf(scope.name);
  return isSide(scope) ? [label, ""] : [label, shortened(scope.call, 48)];
}

function scopeValue(scope) {
  return scope.results[0] ?? scope.leaving[0];
}

// Where a line for a value meets an item, from the item's middle; open scopes know, others are told.

function portOffset(item, side, value) {
  const ports = item.inner?.[side];
  return ports?.has(value) ? ports.get(value) + item.extra - item.width / 2 : 0;
}

function arrange(network, items, entering = [], leaving = []) {
  items.forEach((item) => (item.labels = labelsOf(network, item)));
  const entries = entering.map((value) => port("entry", value));
  const exits = leaving.map((value) => port("exit", value));
  const isFramed = entering.length + leaving.length > 0;
  const rows = rowsOf(entries, items, exits);
  const links = linked(network, rows, [...entries, ...items, ...exits]);
  order(rows, links);
  place(rows, links);
  const width = spread(rows, isFramed ? SPACE.padding : 0);
  const height = stack(rows, links, isFramed);
  return {
    items, width, height,
    lines: links.map((link) => lineOf(link, rows)),
    entries: new Map(entries.map((each) => [each.value, each.x])),
    exits: new Map(exits.map((each) => [each.value, each.x])),
  };
}

function port(kind, value) {
  const [reads, gives] = kind === "entry" ? [[], [value]] : [[value], []];
  return { kind, value, reads, gives, width: 8, height: 0 };
}

function rowsOf(entries, items, exits) {
  const makers = new Map();
  const give = (item) => item.gives.forEach((value) => makers.set(value, item));
  entries.forEach((entry) => ((entry.row = 0), give(entry)));
  for (const item of items) {
    const above = item.reads.map((value) => makers.get(value)?.row ?? -1);
    item.row = Math.max(...above, entries.length ? 0 : -1) + 1;
    give(item);
  }
  const last = Math.max(0, ...items.map((item) => item.row));
  exits.forEach((exit) => (exit.row = last + 1));
  const all = [...entries, ...items, ...exits];
  const rows = Array.from({ length: last + 1 + (exits.length > 0) }, () => []);
  all.forEach((item) => rows[item.row].push(item));
  return rows;
}

// Lines from row to row. A value that is read further down passes the rows between in one line,
// which all its readers share; the places where it passes are items of their own.

function linked(network, rows, items) {
  const links = [];
  for (const maker of items) {
    for (const value of maker.gives) {
      const readers = items.filter((item) => item.reads.includes(value) && item.row > maker.row);
      const last = Math.max(maker.row, ...readers.map((reader) => reader.row));
      let above = maker;
      for (let row = maker.row + 1; row <= last; row++) {
        for (const reader of readers.filter((each) => each.row === row)) {
          links.push({ from: above, to: reader, value, sizeOnly: isSizeOnly(network, reader, value) });
        }
        if (row === last) break;
        const passing = { kind: "passing", value, row, width: 10, height: 0, reads: [], gives: [] };
        rows[row].push(passing);
        links.push({ from: above, to: passing, value });
        above = passing;
      }
    }
  }
  return links;
}

function isSizeOnly(network, item, value) {
  if (item.kind !== "layer") return false;
  const seen = item.gives.some((result) =>
    network.values[result].sees.some(([operand]) => operand === value));
  return !seen;
}

const SWEEPS = 8;

function order(rows, links) {
  const above = groupedBy(links, "to", "from");
  const below = groupedBy(links, "from", "to");
  rows.forEach(numberRow);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const [neighbours, sequence] = sweep % 2 ? [below, [...rows].reverse()] : [above, rows];
    for (const row of sequence) {
      row.forEach((item) => {
        const near = neighbours.get(item);
        item.wanted = near ? mean(near.map((each) => each.at)) : item.at;
      });
      row.sort((a, b) => a.wanted - b.wanted);
      numberRow(row);
    }
  }
}

function numberRow(row) {
  row.forEach((item, index) => (item.at = (index + 0.5) / row.length));
}

function groupedBy(links, key, other) {
  const found = new Map();
  for (const link of links) {
    if (!found.has(link[key])) found.set(link[key], []);
    found.get(link[key]).push(link[other]);
  }
  return found;
}

function mean(numbers) {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
}

function place(rows, links) {
  rows.forEach((row) => placeRow(row, row.map(() => 0), row.map(() => 1)));
  const pulls = new Map(rows.flat().map((item) => [item, { above: [], below: [] }]));
  for (const link of links) {
    const weight = weightOf(link);
    pulls.get(link.to).above.push({ item: link.from, link, weight });
    pulls.get(link.from).below.push({ item: link.to, link, weight });
  }
  // The last sweep goes down: what has one operand then stands straight below it.
  for (let sweep = 0; sweep <= 2 * SWEEPS; sweep++) {
    const isUp = sweep % 2 === 1;
    const side = isUp ? "below" : "above";
    for (const row of isUp ? [...rows].reverse() : rows) {
      const wanted = row.map((item) => pulled(item, pulls.get(item), side));
      placeRow(row, wanted.map((each) => each.x), wanted.map((each) => each.weight));
    }
  }
}

// How much a line wants to be straight: long lines most, then the way that data takes in use.

function weightOf({ from, to }) {
  const passing = (from.kind === "passing") + (to.kind === "passing");
  if (passing === 2) return 8;
  const isAside = passing === 1 || to.pale || [from, to].some((item) => item.scope?.kind === "shortcut");
  return isAside ? 0.5 : 2;
}

function pulled(item, pulls, side) {
  const found = pulls[side].length ? pulls[side] : pulls.above.concat(pulls.below);
  if (!found.length) return { x: item.x, weight: 0.1 };
  const weight = found.reduce((sum, pull) => sum + pull.weight, 0);
  const x = found.reduce((sum, pull) => sum + pull.weight * alignedWith(item, pull), 0) / weight;
  return { x, weight };
}

function alignedWith(item, { item: other, link }) {
  const isAbove = link.from === other;
  const [mine, theirs] = isAbove ? ["entries", "exits"] : ["exits", "entries"];
  return other.x + portOffset(other, theirs, link.value) - portOffset(item, mine, link.value);
}

// The places nearest to those wanted that keep the order and the distances: least squares, by
// pooling neighbours that would overlap (isotonic regression).

function placeRow(row, wanted, weights) {
  const pools = [];
  let shift = 0;
  row.forEach((item, index) => {
    if (index) shift += rightOf(row[index - 1]) + item.width / 2 + SPACE.beside;
    const weight = weights[index];
    pools.push({ x: wanted[index] - shift, weight, members: [[item, shift]] });
    while (pools.length > 1 && pools.at(-2).x > pools.at(-1).x) pool(pools);
  });
  for (const { x, members } of pools) members.forEach(([item, by]) => (item.x = x + by));
}

function pool(pools) {
  const last = pools.pop();
  const before = pools.at(-1);
  const weight = before.weight + last.weight;
  before.x = (before.x * before.weight + last.x * last.weight) / weight;
  before.weight = weight;
  before.members.push(...last.members);
}

function spread(rows, padding) {
  const all = rows.flat();
  const left = Math.min(...all.map((item) => item.x - item.width / 2)) - padding;
  const right = Math.max(...all.map((item) => item.x + rightOf(item))) + padding;
  all.forEach((item) => (item.x = Math.round(item.x - left)));
  return right - left;
}

function stack(rows, links, isFramed) {
  let y = 0;
  rows.forEach((row, index) => {
    row.top = y;
    row.height = Math.max(...row.map((item) => item.height));
    row.forEach((item) => (item.y = y));
    const isFirst = isFramed && index === 0;
    y += row.height + (index === rows.length - 1 ? 0 : gapBelow(row, links, isFirst));
  });
  return y;
}

function gapBelow(row, links, isFirst) {
  const leaving = links.filter((link) => row.includes(link.from));
  const isStraight = leaving.every((link) => Math.abs(startOf(link) - endOf(link)) < 1);
  const isLabelled = row.some((item) => item.labels?.length);
  row.drop = isFirst ? SPACE.title : isLabelled ? SPACE.label : 0;
  return row.drop + (isStraight ? SPACE.straight : SPACE.bent);
}

function startOf(link) {
  return link.from.x + portOffset(link.from, "exits", link.value);
}

function endOf(link) {
  return link.to.x + portOffset(link.to, "entries", link.value);
}

function lineOf(link, rows) {
  const [x1, x2] = [startOf(link), endOf(link)];
  const above = rows[link.from.row];
  const y1 = link.from.kind === "passing" ? above.top + above.height : link.from.y + link.from.height;
  const bend = above.top + above.height + above.drop;
  const y2 = link.to.y;
  const middle = (bend + y2) / 2;
  const curve = Math.abs(x1 - x2) < 1 ? `L ${x2} ${y2}` : `C ${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`;
  const end = link.to.kind === "passing" ? ` L ${x2} ${y2 + rows[link.to.row].height}` : "";
  return { ...link, path: `M ${x1} ${y1} L ${x1} ${bend} ${curve}${end}` };
}

// Shapes stand where they change: below inputs, folded scopes, and layers that make another shape.

function labelledValues(network, item) {
  if (item.kind === "input" || item.kind === "folded") return item.gives;
  if (item.kind !== "layer") return [];
  return item.gives.filter((result) => !item.reads.some((value) =>
    network.values[value].text === network.values[result].text));
}

function labelsOf(network, item) {
  const texts = labelledValues(network, item).map((value) => network.values[value].text);
  const text = texts.filter(isFirstOfItsKind).join(" ");
  return text ? [{ text, width: textWidth(text) }] : [];
}

// How far an item reaches to the right of its middle; its label stands to the right of its line.

function rightOf(item) {
  return Math.max(item.width / 2, ...(item.labels ?? []).map((label) => label.width + LABEL.x));
}

const LABEL = { x: 8, y: 14 };

function isFirstOfItsKind(each, index, all) {
  return all.indexOf(each) === index;
}

// Text.

const ruler = document.createElement("canvas").getContext("2d");
const FONT = "12px system-ui, sans-serif";

function textWidth(text, weight = "") {
  ruler.font = `${weight} ${FONT}`.trim();
  return Math.ceil(ruler.measureText(text).width);
}

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function grouped(number) {
  return Number.isFinite(number) ? number.toLocaleString("en-US") : "as many as the data says";
}

function counted(number, noun) {
  return `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
}

// Drawing.

const $ = (id) => document.getElementById(id);
const SVG = $("graph").namespaceURI;

function svg(name, attributes = {}, parent = null, text = null) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  if (text !== null) element.textContent = text;
  parent?.append(element);
  return element;
}

function html(name, parent, text = null) {
  const element = document.createElement(name);
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}

function drawArrangement(arrangement, parent) {
  for (const line of arrangement.lines) drawLine(line, parent);
  arrangement.items.forEach((item) => drawItem(item, parent));
  arrangement.items.forEach((item) => drawLabels(item, parent));
}

function drawLabels(item, parent) {
  const place = { x: item.x + LABEL.x, y: item.y + item.height + LABEL.y, class: "shape" };
  item.labels.forEach((label) => svg("text", place, parent, label.text));
}

function drawLine(line, parent) {
  const attributes = { d: line.path, class: line.sizeOnly ? "edge size-only" : "edge" };
  if (["layer", "head"].includes(line.to.kind)) attributes["marker-end"] = "url(#arrow)";
  const path = svg("path", attributes, parent);
  page.edges.push({ path, value: line.value });
}

const DRAWN = { layer: drawLayer, folded: drawFolded, open: drawOpen, input: drawPill, head: drawPill };

function drawItem(item, parent) {
  const place = `translate(${item.x - item.width / 2} ${item.y})`;
  const group = svg("g", { transform: place, class: classesOf(item), tabindex: 0, role: "button" }, parent);
  page.subjects.set(group, item);
  group.setAttribute("aria-label", spoken(item));
  if (item.scope) group.setAttribute("aria-expanded", item.kind === "open");
  DRAWN[item.kind](item, group);
}

function classesOf(item) {
  const own = item.layer ? item.layer.family : item.scope ? `scope ${item.scope.kind} ${item.kind}` : item.kind;
  return `item ${own}${item.pale ? " pale" : ""}`;
}

function spoken(item) {
  const value = page.network.values[item.value];
  const shape = value ? `, ${value.text}` : "";
  if (item.layer) return `${item.layer.name}, ${item.layer.op} ${item.layer.arguments}${shape}`;
  if (item.scope) return `${item.scope.name}, ${counted(item.scope.inside.size, "layer")}${shape}`;
  return `${item.kind} ${item.text}${shape}`;
}

function box(item, group, radius) {
  svg("rect", { width: item.width, height: item.height, rx: radius, class: "body" }, group);
}

function centred(item, group, y, parts) {
  const text = svg("text", { x: item.width / 2, y, "text-anchor": "middle" }, group);
  parts.forEach(([words, name]) => words && svg("tspan", { class: name }, text, words));
}

function drawPill(item, group) {
  box(item, group, 13);
  centred(item, group, 17, [[item.text, "operator"]]);
}

function drawLayer(item, group) {
  box(item, group, item.layer.family === "merge" ? 13 : 5);
  const shown = item.shown ? ` ${item.shown}` : "";
  if (item.name) {
    svg("text", { x: item.width / 2, y: 15, "text-anchor": "middle", class: "small" }, group, item.name);
  }
  centred(item, group, item.height - 9, [[item.layer.op, "operator"], [shown, ""]]);
}

function drawFolded(item, group) {
  svg("rect", { x: 4, y: 4, width: item.width, height: item.height, rx: 6, class: "card" }, group);
  box(item, group, 6);
  const call = item.call ? `  ${item.call}` : "";
  centred(item, group, 17, [["▸ ", "small"], [item.title, "operator"], [call, "small"]]);
  svg("text", { x: item.width / 2, y: 33, "text-anchor": "middle", class: "small" }, group, item.count);
}

function drawOpen(item, group) {
  box(item, group, 8);
  const [label, call] = item.title;
  const inner = svg("g", { transform: `translate(${item.extra} 0)` }, group);
  drawArrangement(item.inner, inner);
  const text = svg("text", { x: 10, y: 17, class: "scope-title" }, group);
  svg("tspan", { class: "small" }, text, "▾ ");
  svg("tspan", { class: isSide(item.scope) ? "small" : "operator" }, text, label);
  if (call) svg("tspan", { class: "small" }, text, `  ${call}`);
}

function drawArrow(graph) {
  const definitions = svg("defs", {}, graph);
  const arrow = { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" };
  const marker = svg("marker", { ...arrow, markerUnits: "userSpaceOnUse" }, definitions);
  const tip = svg("path", { d: "M 0 1 L 7 4 L 0 7 z" }, marker);
  tip.style.fill = "var(--edge)";
}

// The state of the page, and what changes it.

const spec = JSON.parse($("data").textContent);

const page = {
  network: null, opened: new Set(), sizes: {}, zoom: 1, subjects: new Map(), edges: [],
  shown: null, kept: null, position: {}, input: null, picture: null,
};

function showNetwork(network) {
  page.network = network;
  page.opened = openedAtFirst(network);
  page.sizes = { ...network.sizes };
  page.shown = page.kept = null;
  describeNetwork(network);
  draw();
  keep(firstItem());
}

function describeNetwork(network) {
  $("title").textContent = network.name;
  document.title = `${network.name} · ${spec.file}`;
  $("totals").textContent = `${grouped(network.params)} parameters`;
  const form = $("sizes");
  form.replaceChildren();
  for (const name of Object.keys(network.sizes)) {
    if (name === network.batch) continue;
    const label = html("label", form, `${name} = `);
    const field = html("input", label);
    Object.assign(field, { type: "number", min: 1, max: LARGEST, value: network.sizes[name], name });
    field.addEventListener("input", () => resize(name, field));
  }
  html("span", form).id = "size-note";
  noteSizes();
}

// Larger inputs take seconds to draw and show no more.

const LARGEST = 2048;

function resize(name, field) {
  const size = Number(field.value);
  if (!Number.isInteger(size) || size < 1 || size > LARGEST) {
    note(`${name} is a whole number from 1 to ${grouped(LARGEST)} here`, true);
    return;
  }
  page.sizes[name] = size;
  page.position = {};
  if (noteSizes()) showItem(page.shown);
}

// Says which input the sizes make; false if a map would have no position, so nothing can be drawn.

function noteSizes() {
  const { network, sizes } = page;
  const bad = network.needed.find((dim) => evaluate(dim.tree, sizes) < 1);
  const inputs = network.inputs.map((value) => network.values[value]);
  const made = inputs.map((value) => `${value.name} ${shapeAt(value, sizes)}`).join(", ");
  const why = bad && `too small: ${bad.text} is ${evaluate(bad.tree, sizes)}, and must be at least 1`;
  const most = Math.max(...inputs.flatMap((value) => Object.values(lengthsOf(value, sizes))));
  const large = most > 2 * LARGEST && `too large to be drawn: ${grouped(most)} pixels`;
  note(why || large || made, Boolean(why || large));
  return !why && !large;
}

function note(text, isWrong) {
  $("size-note").className = isWrong ? "wrong" : "muted";
  $("size-note").textContent = text;
}

function shapeAt(value, sizes) {
  const lengths = value.shape.map((dim) => evaluate(dim, sizes));
  return lengths.map((each) => (Number.isFinite(each) ? each : "?")).join("×");
}

function draw(focused = null) {
  const graph = $("graph");
  graph.replaceChildren();
  page.subjects = new Map();
  page.edges = [];
  page.arrangement = layoutNetwork(page.network, page.opened);
  drawArrow(graph);
  drawArrangement(page.arrangement, svg("g", { transform: "translate(4 4)" }, graph));
  scale();
  mark();
  if (focused) groupOf(focused)?.focus();
}

function scale() {
  const [width, height] = [page.arrangement.width + 12, page.arrangement.height + 12];
  const graph = $("graph");
  graph.setAttribute("viewBox", `0 0 ${width} ${height}`);
  graph.setAttribute("width", width * page.zoom);
  graph.setAttribute("height", height * page.zoom);
}

function groupOf(id) {
  const found = [...page.subjects].find(([, item]) => item.id === id);
  return found?.[0];
}

function firstItem() {
  const heads = [...page.subjects.values()].filter((item) => item.kind === "head");
  const maps = [...page.subjects.values()].filter((item) =>
    item.value !== undefined && Object.keys(axesOf(page.network.values[item.value])).length);
  const bounded = maps.filter((item) => hasBoundedField(page.network.values[item.value]));
  return heads.find((head) => bounded.includes(head)) ?? bounded.at(-1) ?? heads[0];
}

function hasBoundedField(value) {
  const words = Object.values(value.field).flatMap((axes) => Object.values(axes));
  return value.layer !== undefined && words.every(([size]) => !ENDLESS.includes(size));
}

function toggle(scope) {
  const id = `scope ${scope.name}`;
  const before = groupOf(id).getBoundingClientRect();
  const isOpen = page.opened.has(scope.name);
  if (isOpen) page.opened.delete(scope.name);
  else {
    page.opened.add(scope.name);
    scopesIn(scope).filter(isSide).forEach((side) => page.opened.add(side.name));
  }
  draw(id);
  const after = groupOf(id).getBoundingClientRect();
  $("drawing").scrollBy(middleOf(after) - middleOf(before), after.top - before.top);
}

function middleOf(box) {
  return box.left + box.width / 2;
}

function mark() {
  const shown = page.shown;
  for (const [group, item] of page.subjects) group.classList.toggle("current", item.id === shown?.id);
  for (const { path, value } of page.edges) path.classList.toggle("current", value === shown?.value);
}

function keep(item) {
  page.kept = item;
  if (page.shown?.id !== item.id) page.position = {};
  showItem(item);
}

function showItem(item) {
  if (!item || item.value === undefined) return;
  if (page.shown?.value !== item.value) page.position = {};
  page.shown = item;
  mark();
  showPanel(item);
}

// The panel.

function showPanel(item) {
  const value = page.network.values[item.value];
  $("value-name").textContent = item.scope ? item.scope.name : value.name;
  $("value-kind").textContent = kindOf(item, value);
  showFacts(item, value);
  showSight(value);
}

function kindOf(item, value) {
  if (item.scope) {
    const what = item.scope.call || item.scope.kind;
    const result = value.name === item.scope.name ? "" : `; shown is its result ${value.name}`;
    return `${what}, ${counted(item.scope.inside.size, "layer")}${result}`;
  }
  const made = value.layer ? call(value.layer) : "input";
  return item.kind === "head" ? `head ${item.text}: ${made}` : made;
}

function call(layer) {
  return layer.arguments ? `${layer.op}(${layer.arguments})` : layer.op;
}

function showFacts(item, value) {
  const list = $("facts");
  list.replaceChildren();
  const fact = (term, text) => (html("dt", list, term), html("dd", list, text));
  fact("shape", `${value.text} ${value.dtype}`);
  fact("here", shapeAt(value, page.sizes));
  html("dt", list, "receptive field");
  showField(html("dd", list), value);
  const layers = item.scope
    ? [...item.scope.inside].map((each) => page.network.layers[each])
    : value.layer ? [value.layer] : [];
  fact("parameters", grouped(ownParameters(layers)));
  fact("MACs", macsOf(layers));
  const owner = item.layer?.weightsOf;
  if (owner) fact("weights", `those of ${owner}`);
  if (item.pale) fact("exported", "no, it is for training only");
}

function macsOf(layers) {
  const total = layers.reduce((sum, each) => sum + evaluate(each.macs.tree, page.sizes), 0);
  const isFree = layers.length === 1 && typeof layers[0].macs.tree !== "number";
  return isFree ? `${layers[0].macs.text} = ${grouped(total)}` : grouped(total);
}

function showField(place, value) {
  const rows = Object.entries(value.field).flatMap(([input, axes]) =>
    Object.entries(axes).map(([axis, words]) => [input, axis, ...words]));
  if (!rows.length) {
    place.textContent = Object.keys(value.field).length ? "the whole input" : "none";
    return;
  }
  const several = new Set(rows.map(([input]) => input)).size > 1;
  const table = html("table", place);
  const heading = html("tr", table);
  ["axis", "size", "stride", "offset"].forEach((word) => html("th", heading, word));
  for (const [input, axis, ...words] of rows) {
    const row = html("tr", table);
    [several ? `${input} ${axis}` : axis, ...words].forEach((word) => html("td", row, word));
  }
}

// What one position sees.

function positionOf(value) {
  const lengths = lengthsOf(value, page.sizes);
  return Object.fromEntries(Object.entries(lengths).map(([axis, length]) => {
    const at = page.position[axis] ?? Math.floor(length / 2);
    return [axis, Math.min(Math.max(at, 0), length - 1)];
  }));
}

function showSight(value) {
  const { network, sizes } = page;
  const lengths = lengthsOf(value, sizes);
  const isKnown = Object.values(lengths).every((each) => each >= 1);
  const inputs = isKnown && noteSizes() ? pictured(value) : [];
  offerInputs(inputs);
  const input = inputs.find((each) => each === page.input) ?? inputs[0];
  const isDrawn = input !== undefined;
  for (const id of ["picture", "legend", "own-picture"]) $(id).hidden = !isDrawn;
  $("positions").hidden = !isDrawn || Object.values(lengths).every((each) => each === 1);
  if (!isDrawn) {
    $("sight").textContent = "";
    return;
  }
  const position = positionOf(value);
  const positions = Object.fromEntries(Object.entries(position).map(([axis, at]) => [axis, new Set([at])]));
  const number = network.values.indexOf(value);
  const seen = footprint(network, number, positions, sizes).get(input);
  const reached = fieldOf(value, network.values[input], seen, 
    footprint(network, number, positions, sizes, true).get(input));
  drawPicture(network.values[input], seen, reached);
  $("sight").textContent = sightWords(network.values[input], position, seen, reached);
  drawMap(lengths, position);
}

// What is seen on an endless input, of which the hull is the field. Where the field is no number of
// pixels there is no more to see than there is.

const ENDLESS = ["whole", "data-dependent", "past"];

function fieldOf(value, input, seen, reached) {
  const words = value.field[input.name];
  const axes = Object.keys(seen).map((axis) =>
    [axis, ENDLESS.includes(words[axis][0]) ? seen[axis] : reached[axis]]);
  return Object.fromEntries(axes);
}

// The inputs with axes on which a value depends, in order.

function pictured(value) {
  const { network } = page;
  return network.inputs.filter((input) => {
    const { name } = network.values[input];
    return name in value.field && Object.keys(axesOf(network.values[input])).length;
  });
}

function offerInputs(inputs) {
  const place = $("input-choice");
  place.replaceChildren();
  if (inputs.length < 2) return;
  const current = inputs.includes(page.input) ? page.input : inputs[0];
  for (const input of inputs) {
    const button = html("button", place, page.network.values[input].name);
    button.type = "button";
    button.setAttribute("aria-pressed", input === current);
    button.addEventListener("click", () => ((page.input = input), showItem(page.shown)));
  }
}

function hullOf(positions) {
  let [first, last] = [Infinity, -Infinity];
  for (const each of positions) [first, last] = [Math.min(first, each), Math.max(last, each)];
  return [first, last];
}

function sightWords(input, position, seen, reached) {
  const own = Object.entries(position).map(([axis, at]) => `${axis} ${at}`).join(", ");
  const subject = own ? `Position ${own} sees` : "It sees";
  const sizes = lengthsOf(input, page.sizes);
  const axes = Object.keys(sizes);
  if (axes.some((axis) => !seen[axis]?.size)) return `${subject} nothing of ${input.name}.`;
  const count = axes.map((axis) => seen[axis].size).join(" × ");
  const spans = axes.map((axis) => `${axis} ${hullOf(seen[axis]).join(" to ")}`).join(", ");
  const beyond = axes.map((axis) => beyondWords(axis, sizes[axis], hullOf(reached[axis]))).filter(Boolean);
  const padding = beyond.length ? ` Its field reaches outside: ${beyond.join(", ")}.` : "";
  if (axes.every((axis) => seen[axis].size === sizes[axis])) return `${subject} all of ${input.name}.${padding}`;
  return `${subject} ${count} pixels of ${input.name}: ${spans}${gapWords(axes, seen)}.${padding}`;
}

function gapWords(axes, seen) {
  const hasGaps = axes.some((axis) => {
    const [first, last] = hullOf(seen[axis]);
    return last - first + 1 > seen[axis].size;
  });
  return hasGaps ? ", with gaps" : "";
}

function beyondWords(axis, size, [first, last]) {
  const words = [];
  if (first < 0) words.push(`${-first} before`);
  if (last >= size) words.push(`${last - size + 1} behind`);
  return words.length ? `${words.join(" and ")} along ${axis}` : "";
}

// The input, what is seen of it in colour, and around it the padding into which the field reaches.

const PICTURE = 350;
const MARGIN = 0.35;
const STRIP = 28;

function drawPicture(input, seen, reached) {
  const lengths = lengthsOf(input, page.sizes);
  const isStrip = !("h" in lengths);
  const [height, width] = isStrip ? [1, lengths.t] : [lengths.h, lengths.w];
  const rows = isStrip ? new Set([0]) : seen.h;
  const columns = isStrip ? seen.t : seen.w;
  const [top, bottom] = isStrip ? [0, 0] : outer(reached.h, height);
  const [left, right] = outer(isStrip ? reached.t : reached.w, width);
  const [columnsDrawn, rowsDrawn] = [right - left + 1, bottom - top + 1];
  const side = (PICTURE - 8) / Math.max(columnsDrawn, rowsDrawn);
  // Of a map of a few rows or columns the pixels are drawn oblong, so that they can be seen.
  const pixel = Math.max(side, STRIP / columnsDrawn);
  const tall = Math.max(side, STRIP / rowsDrawn);
  const canvas = $("picture");
  const context = sized(canvas, pixel * (right - left + 1) + 8, tall * (bottom - top + 1) + 8);
  context.translate(4 - left * pixel, 4 - top * tall);
  hatch(context, left * pixel, top * tall, (right - left + 1) * pixel, (bottom - top + 1) * tall);
  context.imageSmoothingEnabled = pixel < 1;
  context.drawImage(coloured(width, height, rows ?? [], columns ?? []), 0, 0, width * pixel, height * tall);
  context.strokeStyle = style("--ink");
  context.strokeRect(0, 0, width * pixel, height * tall);
  const isEmpty = !(rows?.size && columns?.size);
  if (!isEmpty) outline(context, isStrip ? new Set([0]) : reached.h, isStrip ? reached.t : reached.w, pixel, tall);
}

// First and last pixel of the drawing along one axis: the input and the hull, but not more padding
// than leaves the input large enough to be seen.

function outer(reached, size) {
  const [first, last] = reached?.size ? hullOf(reached) : [0, 0];
  const most = Math.ceil(size * MARGIN);
  return [Math.max(Math.min(first, 0), -most), Math.min(Math.max(last, size - 1), size - 1 + most)];
}

function sized(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.ceil(width * density), Math.ceil(height * density)];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  return context;
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function hatch(context, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = style("--rule");
  context.beginPath();
  for (let along = -height; along < width; along += 7) {
    context.moveTo(x + along, y + height);
    context.lineTo(x + along + height, y);
  }
  context.stroke();
  context.restore();
}

function outline(context, rows, columns, pixel, tall) {
  const [top, bottom] = hullOf(rows);
  const [left, right] = hullOf(columns);
  context.save();
  context.strokeStyle = style("--accent");
  context.lineWidth = 2;
  context.setLineDash([6, 4]);
  context.strokeRect(left * pixel, top * tall, (right - left + 1) * pixel, (bottom - top + 1) * tall);
  context.restore();
}

const SEEN = [249, 115, 22];

function coloured(width, height, rows, columns) {
  const picture = pictureOf(width, height);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const [rowSeen, columnSeen] = [new Set(rows), new Set(columns)];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const isSeen = rowSeen.has(y) && columnSeen.has(x);
      for (let channel = 0; channel < 3; channel++) {
        image.data[at + channel] = isSeen
          ? 0.45 * picture.data[at + channel] + 0.55 * SEEN[channel]
          : faded(picture.data, at);
      }
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function faded(data, at) {
  const grey = 0.3 * data[at] + 0.6 * data[at + 1] + 0.1 * data[at + 2];
  return isDark() ? 30 + 0.35 * grey : 140 + 0.4 * grey;
}

function isDark() {
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

// The reader's own picture, or waves with a grid whose lines are an eighth of the input apart.

function pictureOf(width, height) {
  const kept = page.test;
  if (kept?.width === width && kept.height === height && kept.picture === page.picture) return kept.image;
  const image = page.picture ? sampled(page.picture, width, height) : waves(width, height);
  page.test = { width, height, picture: page.picture, image };
  return image;
}

function sampled(picture, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function waves(width, height) {
  const image = new ImageData(width, height);
  const grid = Math.max(Math.round(Math.min(width, Math.max(height, width / 4)) / 8), 2);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const [u, v] = [x / width - 0.5, y / height - 0.5];
      const wave = Math.sin(14 * Math.hypot(u - 0.1, v + 0.15)) + Math.sin(9 * u - 6 * v);
      const isLine = height > 1 && (x % grid === 0 || y % grid === 0);
      const light = isLine ? 0 : 150 + 50 * wave;
      image.data.set([light * 0.75, light * 0.95, light, 255], at);
    }
  }
  return image;
}

// The positions of the value as a small map on which one is chosen.

const MAP = 120;

function drawMap(lengths, position) {
  const [height, width] = "h" in lengths ? [lengths.h, lengths.w] : [1, lengths.t ?? 1];
  const side = MAP / Math.max(height, width);
  const [cell, tall] = [Math.max(side, 20 / width), Math.max(side, 20 / height)];
  const context = sized($("map"), cell * width + 2, tall * height + 2);
  context.translate(1, 1);
  context.strokeStyle = style("--rule");
  if (side >= 4) drawGrid(context, width, height, cell, tall);
  context.strokeRect(0, 0, width * cell, height * tall);
  context.fillStyle = style("--accent");
  const [x, y] = [position.w ?? position.t ?? 0, position.h ?? 0];
  context.fillRect(x * cell, y * tall, Math.max(cell, 3), Math.max(tall, 3));
  page.map = { width, height, cell, tall, axes: "h" in lengths ? ["h", "w"] : [null, "t"] };
  const words = Object.entries(lengths).map(([axis, length]) => `${axis} ${position[axis]} of ${length}`);
  $("position").textContent = `position ${words.join(", ")}: point at another, or use the arrow keys`;
}

function drawGrid(context, width, height, cell, tall) {
  context.beginPath();
  for (let x = 0; x <= width; x++) context.rect(x * cell, 0, 0, height * tall);
  for (let y = 0; y <= height; y++) context.rect(0, y * tall, width * cell, 0);
  context.stroke();
}

function pointAt(event) {
  const { cell, tall } = page.map;
  move(Math.floor((event.offsetY - 1) / tall), Math.floor((event.offsetX - 1) / cell));
}

function move(row, column) {
  const { axes, width, height } = page.map;
  if (axes[0]) page.position[axes[0]] = Math.min(Math.max(row, 0), height - 1);
  page.position[axes[1]] = Math.min(Math.max(column, 0), width - 1);
  showSight(page.network.values[page.shown.value]);
}

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function step(event) {
  if (!(event.key in ARROWS)) return;
  event.preventDefault();
  const [down, right] = ARROWS[event.key];
  const here = positionOf(page.network.values[page.shown.value]);
  move((here.h ?? 0) + down, (here.w ?? here.t) + right);
}

// What the reader does.

function subjectOf(event) {
  const group = event.target.closest?.(".item");
  return group && page.subjects.get(group);
}

function act(event) {
  const item = subjectOf(event);
  if (!item) return;
  keep(item);
  if (item.scope) toggle(item.scope);
}

function listenToGraph() {
  const graph = $("graph");
  graph.addEventListener("pointerover", (event) => showItem(subjectOf(event) ?? page.kept));
  graph.addEventListener("pointerleave", () => showItem(page.kept));
  graph.addEventListener("focusin", (event) => {
    if (subjectOf(event)) keep(subjectOf(event));
  });
  graph.addEventListener("click", act);
  graph.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act(event);
  });
  $("drawing").addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1);
  }, { passive: false });
}

function zoom(factor) {
  page.zoom = Math.min(Math.max(page.zoom * factor, 0.2), 4);
  scale();
}

function listenToTools() {
  $("fold").addEventListener("click", () => (page.opened.clear(), draw()));
  $("unfold").addEventListener("click", () => {
    scopesIn(page.network.scope).forEach((scope) => page.opened.add(scope.name));
    draw();
  });
  $("smaller").addEventListener("click", () => zoom(1 / 1.25));
  $("larger").addEventListener("click", () => zoom(1.25));
  $("sizes").addEventListener("submit", (event) => event.preventDefault());
  $("network").addEventListener("change", () => showNetwork(spec.networks[$("network").selectedIndex]));
}

function listenToPanel() {
  const map = $("map");
  map.addEventListener("pointermove", pointAt);
  map.addEventListener("pointerdown", pointAt);
  map.addEventListener("keydown", step);
  $("file").addEventListener("change", () => openPicture($("file").files[0]));
  const panel = $("panel");
  panel.addEventListener("dragover", (event) => event.preventDefault());
  panel.addEventListener("drop", (event) => {
    event.preventDefault();
    openPicture(event.dataTransfer.files[0]);
  });
}

function openPicture(file) {
  if (!file) return;
  const picture = new Image();
  picture.addEventListener("load", () => {
    page.picture = picture;
    showItem(page.shown);
    URL.revokeObjectURL(picture.src);
  });
  picture.addEventListener("error", () => ($("sight").textContent = `${file.name} is no picture that can be read.`));
  picture.src = URL.createObjectURL(file);
}

function start() {
  spec.networks.forEach(prepare);
  spec.networks.forEach((network) => html("option", $("network"), network.name));
  $("network-choice").hidden = spec.networks.length < 2;
  listenToGraph();
  listenToTools();
  listenToPanel();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showItem(page.shown));
  showNetwork(spec.networks[0]);
}

start();
