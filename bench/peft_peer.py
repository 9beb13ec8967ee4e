"""Hugging Face PEFT as a peer: reads one JSON request a line, answers with one JSON line, times itself.

usage: peft_peer.py THREADS
"""
import json
import os
import sys
import time

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever a library prints goes to standard error


def answer(**values):
    answers.write(json.dumps(values) + "\n")
    answers.flush()


try:
    import numpy
    import peft
    import torch
    from peft import LoraConfig, LoraGAConfig
    from peft.tuners.lora.layer import Linear
except ImportError as e:
    answer(error=f"{sys.executable} has no torch and peft: {e}")
    sys.exit(0)

torch.set_num_threads(int(sys.argv[1]))


class Peer:
    def prepare(self, work, b, m, n, r, alpha, folder, sets, **_):
        self.work, self.folder, self.first = work, folder, True
        self.config = LoraConfig(r=r, lora_alpha=int(alpha), use_rslora=True, lora_dropout=0.0, target_modules=["linear"],
                                 init_lora_weights="lora_ga" if work == "init" else True,
                                 lora_ga_config=LoraGAConfig(direction="ArB2r", scale="stable", stable_gamma=16) if work == "init" else None)
        self.sets = []
        for i in range(sets):
            def load(name, *shape):
                path = os.path.join(folder, f"{name}.{i}")
                return torch.from_numpy(numpy.fromfile(path, numpy.float32).reshape(shape)) if os.path.exists(path) else None
            w, g = load("w", m, n), load("g", m, n)
            base = torch.nn.Linear(n, m, bias=False)
            base.weight.data = w.clone()
            base.weight.requires_grad = False
            if work == "init":
                base._peft_loraga_grad = g
            layer = Linear(base, "default", self.config, r=r, lora_alpha=int(alpha))
            if work != "init":
                layer.lora_A["default"].weight.data = load("a", r, n)
                layer.lora_B["default"].weight.data = load("b", m, r)
            x, dy = load("x", b, n), load("dy", b, m)
            if work == "forward+backward":
                x.requires_grad = True
            self.sets.append((layer, w, g, x, dy))

    def run(self, first, calls):
        ms = []
        for i in range(first, first + calls):
            layer, w, g, x, dy = self.sets[i % len(self.sets)]
            base = layer.get_base_layer()
            if self.work == "forward":
                with torch.inference_mode():
                    start = time.perf_counter()
                    self.y = layer(x)
            elif self.work == "forward+backward":
                x.grad = None
                start = time.perf_counter()
                self.y = layer(x)
                self.y.backward(dy)
            elif self.work == "init":
                base.weight.data = w.clone()
                base._peft_loraga_grad = g
                start = time.perf_counter()
                with torch.no_grad():
                    layer.lora_ga_init("default", self.config.lora_ga_config)
            else:
                start = time.perf_counter()
                layer.merge()
            ms.append(1e3 * (time.perf_counter() - start))
            if self.work == "merge" and not self.first:
                layer.unmerge()
        return ms

    def results(self):
        layer, _, _, x, _ = self.sets[0]
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        found = {"w": layer.get_base_layer().weight, "a": a, "b": b}
        if self.work.startswith("forward"):
            found = {"y": self.y, "dx": x.grad, "da": a.grad, "db": b.grad}
        for name, value in found.items():
            if value is not None:
                value.detach().numpy().tofile(os.path.join(self.folder, "result." + name))
        if self.work == "merge":
            layer.unmerge()
        self.first = False


class LowRank:
    """Leading singular triplets as PEFT's LoRA-GA takes them."""

    def prepare(self, r, folder, shapes, **_):
        self.r, self.folder = r, folder
        self.g = [torch.from_numpy(numpy.fromfile(os.path.join(folder, f"g.{i}"), numpy.float32).reshape(shape)) for i, shape in enumerate(shapes)]

    def run(self, first, calls):
        ms = []
        for _ in range(calls):
            start = time.perf_counter()
            self.found = [torch.svd_lowrank(g, q=min(4 * self.r, min(g.shape)), niter=4) for g in self.g]
            ms.append(1e3 * (time.perf_counter() - start))
        return ms

    def results(self):
        for i, triplets in enumerate(self.found):
            for name, value in zip("usv", triplets):
                value[..., :2 * self.r].contiguous().numpy().tofile(os.path.join(self.folder, f"result.{name}.{i}"))


def ceiling(size):
    a, b = torch.rand(size, size), torch.rand(size, size)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * size ** 3 / best / 1e9


answer(description=f"PEFT {peft.__version__} on PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
peer = Peer()
for line in sys.stdin:
    request = json.loads(line)
    what = request.pop("do")
    try:
        if what == "prepare":
            peer = LowRank() if request["work"] == "svd" else Peer()
            peer.prepare(**request)
            answer()
        elif what == "run":
            answer(ms=peer.run(**request))
        elif what == "results":
            peer.results()
            answer()
        elif what == "ceiling":
            answer(gflops=ceiling(**request))
        else:
            peer = Peer()
            answer()
    except Exception as e:
        answer(error=f"{what}: {type(e).__name__}: {e}")
