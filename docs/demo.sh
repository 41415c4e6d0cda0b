#!/usr/bin/env bash
# The whole way of one spec: checked, trained on real digits, exported, proven, run. `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

say() {
    printf '\n\033[1m$ netloom %s\033[0m\n' "$*"
    netloom "$@"
}

rm -rf demo-run
say check specs/lenet.loom
say explain specs/lenet.loom
for seed in 0 1 2; do
    say train specs/lenet.loom --seed "$seed" --out "demo-run/seed$seed"
done
say export demo-run/seed0
say verify demo-run/seed0
say run demo-run/seed0/model.onnx docs/images/digit-3.png docs/images/digit-8.png

python - <<'END'
import json
from pathlib import Path

runs = [json.loads((Path("demo-run") / f"seed{seed}" / "result.json").read_text()) for seed in (0, 1, 2)]
accuracies = [run["last"]["accuracy"] for run in runs]
mean = sum(accuracies) / len(accuracies)
each = ", ".join(f"{100 * accuracy:.2f} %" for accuracy in accuracies)
print(f"\nTest accuracy with seeds 0, 1, 2: {each}; mean {100 * mean:.2f} %")
if mean < 0.97:
    raise SystemExit("that is less than the 97 % that this demo promises")
END

cat <<'END'

What to try next
  demo-run/seed0/plots/loss.png                    the learning curve
  demo-run/seed0/model.py                          the network as PyTorch source
  netloom train specs/resnet_digits.loom           a residual network
  netloom explain specs/googlenet_digits.loom      receptive fields through inception modules
  change a number in specs/lenet.loom, then        see what the compiler says about it
  netloom check specs/lenet.loom
  docs/language.md                                 write a network of your own
END
