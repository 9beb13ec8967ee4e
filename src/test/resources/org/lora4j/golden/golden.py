"""Writes golden.json, the test oracles for lora4j's layers and initialisers.

Made with torch 2.13.0 (CPU) and peft 0.21.0. Usage: python3 golden.py
It writes golden.json next to itself; seeds are fixed, and one thread is used.

  layers        forward, backward and merge through PEFT's LoRA Linear, in float64.
  initialisers  methods peft-lora-ga, pissa, olora, kaiming and gaussian are PEFT's own;
                lora-ga is the form of arXiv 2407.05000 and prefilled is W - eta B0 A0,
                both computed here in float64.

A matrix is {"rows", "cols", "data"}, row-major. Every input is a float32 value. Every number is
printed so that parsing it as a double gives back the exact value computed or used here.
"precision" is that of the arithmetic behind the results. PEFT rejects float64 layers for pissa and
olora; for lora_ga it takes them (and the layer is float64 here) but computes in float32.

An SVD is unique up to signs: each pair (u_i, v_i) is flipped so that the entry of v_i of largest
magnitude is positive. A QR is flipped so that R's diagonal is positive. PEFT's calls to
torch.svd_lowrank, torch.linalg.svd and torch.linalg.qr are wrapped to apply that.
"""
import json
import math
from pathlib import Path
from unittest import mock

import peft
import torch
from peft import LoraConfig, LoraGAConfig, get_peft_model

assert torch.__version__.startswith("2.13.0") and peft.__version__ == "0.21.0"
torch.set_num_threads(1)
GEN = torch.Generator()
ALPHA, GAMMA, MOMENT = 16, 16, 0.3
SHAPES = {"tall": (12, 9, 2), "wide": (8, 14, 3)}
SCALINGS = ("STANDARD", "RANK_STABILISED")
svd_lowrank, svd, qr, randperm = torch.svd_lowrank, torch.linalg.svd, torch.linalg.qr, torch.randperm


def normal(rows, cols, divisor=1.0):
    return (torch.randn(rows, cols, generator=GEN, dtype=torch.float64) / divisor).float()


def near_ties(v, ratio):
    """Whether the two largest magnitudes in some column of v come within that ratio."""
    top = v.abs().topk(2, dim=0).values
    return bool((top[1] / top[0]).max() > ratio)


def separated(m, n, top):
    """A float32 matrix with singular values top * 2^-i; drawn so that the sign rule has no near ties."""
    k = min(m, n)
    u = qr(torch.randn(m, k, generator=GEN, dtype=torch.float64))[0]
    v = qr(torch.randn(n, k, generator=GEN, dtype=torch.float64))[0]
    while near_ties(v, 0.95):
        v = qr(torch.randn(n, k, generator=GEN, dtype=torch.float64))[0]
    return (u * (top * 0.5 ** torch.arange(k, dtype=torch.float64)) @ v.T).float()


def matrix(t):
    return {"rows": t.shape[0], "cols": t.shape[1], "data": t.detach().double().flatten().tolist()}


def eta_of(alpha, r, scaling):
    return alpha / (r if scaling == "STANDARD" else math.sqrt(r))


# The sign rule, and wrappers that apply it and keep what PEFT was given.

def signs(v):
    """The sign of the entry of largest magnitude in each column of v."""
    return torch.sign(v.gather(0, v.abs().argmax(0, keepdim=True)))


def signed_svd_lowrank(a, **kwargs):
    u, s, v = svd_lowrank(a, **kwargs)
    return u * signs(v), s, v * signs(v)


def signed_svd(a, **kwargs):
    u, s, vh = svd(a, **kwargs)
    f = signs(vh.T)
    return u * f, s, vh * f.T


def signed_qr(a):
    q, r = qr(a)
    f = torch.sign(torch.diagonal(r))
    return q * f, r * f[:, None]


def wrap(owner, name, function):
    """Replaces owner.name; the mock's `returned` keeps the results, in order."""
    returned = []

    def keep(*args, **kwargs):
        returned.append(function(*args, **kwargs))
        return returned[-1]

    patch = mock.patch.object(owner, name, side_effect=keep)
    patch.returned = returned
    return patch


def exact_svd(a, gap, lead):
    """The float64 SVD (U, S, V); asserts that its leading pairs and their signs are well conditioned."""
    u, s, vh = signed_svd(a.double(), full_matrices=False)
    assert (s[:lead] / s[1:lead + 1]).min() > gap, s
    assert not near_ties(vh[:lead].T, 0.99)
    return u, s, vh.T


def peft_layer(weight, bias, r, alpha, scaling, dtype, init, **config):
    """A PEFT model whose module `linear` has that base weight; returns the model and that module."""
    m, n = weight.shape
    model = torch.nn.Module()
    model.linear = torch.nn.Linear(n, m, bias=bias is not None, dtype=dtype)
    model.linear.weight.data = weight.to(dtype).clone()
    if bias is not None:
        model.linear.bias.data = bias.flatten().to(dtype)
    gradient = config.pop("gradient", None)
    if gradient is not None:
        model.linear._peft_loraga_grad = gradient.to(dtype)  # as preprocess_loraga leaves it
    model.forward = lambda x: model.linear(x)
    model = get_peft_model(model, LoraConfig(
        r=r, lora_alpha=alpha, use_rslora=scaling == "RANK_STABILISED", target_modules=["linear"],
        init_lora_weights=init, **config))
    layer = model.base_model.model.linear
    assert layer.scaling["default"] == eta_of(alpha, r, scaling)
    return model, layer


def layer_golden(name, b, m, n, r, alpha, scaling, with_bias):
    weight, bias = normal(m, n, math.sqrt(n)), normal(1, m) if with_bias else None
    a, bb, x, dy = normal(r, n, math.sqrt(n)), normal(m, r), normal(b, n), normal(b, m)
    model, layer = peft_layer(weight, bias, r, alpha, scaling, torch.float64, False)
    lora_a, lora_b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert lora_a.dtype == lora_b.dtype == torch.float64
    lora_a.data, lora_b.data = a.double(), bb.double()
    xx = x.double().requires_grad_()
    y = model(xx)
    y.backward(dy.double())
    out = dict(y=y, dx=xx.grad, dA=lora_a.grad, dB=lora_b.grad)
    out["merged"] = model.merge_and_unload().linear.weight
    ins = dict(weight=weight, bias=bias, loraA=a, loraB=bb, x=x, dy=dy)
    return dict(name=name, b=b, m=m, n=n, r=r, alpha=alpha, scaling=scaling,
                **{k: None if t is None else matrix(t) for k, t in {**ins, **out}.items()})


def initialiser(name, method, scaling, weight, a0, b0, frozen, precision, gradient=None, options=None, **more):
    return dict(name=name, method=method, m=weight.shape[0], n=weight.shape[1], r=a0.shape[0], alpha=ALPHA,
                scaling=scaling, precision=precision, options=options or {}, weight=matrix(weight),
                gradient=None if gradient is None else matrix(gradient),
                a0=matrix(a0), b0=matrix(b0), frozen=matrix(frozen), **more)


def peft_results(layer):
    return dict(a0=layer.lora_A["default"].weight, b0=layer.lora_B["default"].weight,
                frozen=layer.base_layer.weight)


def indices(direction, r):
    return {"ArB2r": (list(range(r)), list(range(r, 2 * r))),
            "A2rBr": (list(range(r, 2 * r)), list(range(r))),
            "ArBr": (list(range(1, 2 * r, 2)), list(range(0, 2 * r, 2)))}[direction]


def peft_lora_ga(shape, scaling, direction, scale, seed):
    m, n, r = SHAPES[shape]
    # weight_svd estimates W's largest singular value with svd_lowrank(q=r): exact only if W's spectrum decays
    weight = separated(m, n, 1.0) if scale == "weight_svd" else normal(m, n, math.sqrt(n))
    gradient = separated(m, n, 0.1)
    torch.manual_seed(seed)
    low, perm = wrap(torch, "svd_lowrank", signed_svd_lowrank), wrap(torch, "randperm", randperm)
    with low, perm:
        _, layer = peft_layer(weight, None, r, ALPHA, scaling, torch.float64, "lora_ga", gradient=gradient,
                              lora_ga_config=LoraGAConfig(direction=direction, scale=scale, stable_gamma=GAMMA))
    assert len(low.returned) == (2 if scale == "weight_svd" else 1)
    assert len(perm.returned) == (1 if direction == "random" else 0)
    for got, exact in zip(low.returned[0], exact_svd(gradient, 1.5, 2 * r)):
        assert (got[..., :2 * r] - exact[..., :2 * r]).abs().max() < 1e-5
    options = dict(direction=direction, scale=scale)
    if scale == "stable":
        options["gamma"] = GAMMA
    if scale == "weight_svd":
        options["weightSigma1"] = exact_svd(weight, 1.5, r)[1][0].item()
        assert abs(low.returned[1][1][0].item() / options["weightSigma1"] - 1) < 1e-5
    ia, ib = [perm.returned[0][:r].tolist()] * 2 if direction == "random" else indices(direction, r)
    return initialiser(f"peft-lora-ga {direction} {scale} {shape}", "peft-lora-ga", scaling, weight,
                       **peft_results(layer), precision="float32", gradient=gradient, options=options,
                       indicesA=ia, indicesB=ib)


def lora_ga(shape, scaling, direction, scale):
    m, n, r = SHAPES[shape]
    weight, gradient = normal(m, n, math.sqrt(n)), separated(m, n, 0.1)
    eta = eta_of(ALPHA, r, scaling)
    u, _, v = exact_svd(gradient, 1.5, 2 * r)
    sigma = torch.linalg.svdvals(weight.double())[:r]
    c = {"stable": m ** 0.25 / math.sqrt(GAMMA),
         "gd": 1 / eta,
         "unit": 1.0,
         "weight-svd": (sigma / eta).sqrt().mean().item(),
         "zeta-forward": math.sqrt(eta * math.sqrt(MOMENT * m / r)) / eta,
         "zeta-backward": math.sqrt(eta * math.sqrt(MOMENT * n / r)) / eta}[scale]
    options = dict(direction=direction, scale=scale, c=c, zeta=eta ** 2 * c ** 2)
    if scale == "stable":
        options["gamma"] = GAMMA
    if scale.startswith("zeta"):
        options["v"] = MOMENT
    ia, ib = indices(direction, r)
    a0, b0 = c * v[:, ia].T, c * u[:, ib]
    return initialiser(f"lora-ga {direction} {scale} {shape}", "lora-ga", scaling, weight, a0, b0,
                       weight.double() - eta * b0 @ a0, "float64", gradient, options, indicesA=ia, indicesB=ib)


def pissa(shape, scaling):
    m, n, r = SHAPES[shape]
    weight = normal(m, n, math.sqrt(n))
    exact_svd(weight, 1.05, r)
    with wrap(torch.linalg, "svd", signed_svd) as patched:
        _, layer = peft_layer(weight, None, r, ALPHA, scaling, torch.float32, "pissa")
    assert patched.call_count == 1
    return initialiser(f"pissa {scaling} {shape}", "pissa", scaling, weight, **peft_results(layer),
                       precision="float32")


def olora(shape, scaling):
    m, n, r = SHAPES[shape]
    weight = normal(m, n, math.sqrt(n))
    with wrap(torch.linalg, "qr", signed_qr) as patched:
        _, layer = peft_layer(weight, None, r, ALPHA, scaling, torch.float32, "olora")
    assert patched.call_count == 1
    return initialiser(f"olora {shape}", "olora", scaling, weight, **peft_results(layer), precision="float32")


def prefilled(shape, scaling):
    m, n, r = SHAPES[shape]
    weight, a0, b0 = normal(m, n, math.sqrt(n)), normal(r, n, math.sqrt(n)), normal(m, r)
    frozen = weight.double() - eta_of(ALPHA, r, scaling) * b0.double() @ a0.double()
    return initialiser(f"prefilled {shape}", "prefilled", scaling, weight, a0, b0, frozen, "float64")


def random_init(name, init, m=64, n=400, r=8, seeds=50, **theory):
    """Statistics of lora_A's elements over many seeds."""
    draws = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        _, layer = peft_layer(torch.zeros(m, n), None, r, ALPHA, "STANDARD", torch.float32, init)
        assert not layer.lora_B["default"].weight.any() and not layer.base_layer.weight.any()
        draws.append(layer.lora_A["default"].weight.detach().double())
    a = torch.stack(draws)
    return dict(name=name, method=name, m=m, n=n, r=r, **theory, samples=a.numel(), min=a.min().item(),
                max=a.max().item(), mean=a.mean().item(), variance=a.var().item(), b0IsZero=True)


def main():
    GEN.manual_seed(3)
    standard, stabilised = SCALINGS
    layers = [
        layer_golden("bias standard", 5, 7, 11, 2, 16, standard, True),
        layer_golden("batch 1, no bias, rank-stabilised", 1, 13, 4, 1, 3, stabilised, False),
        layer_golden("bias rank-stabilised", 17, 6, 9, 3, 16, stabilised, True),
        layer_golden("no bias standard", 3, 16, 16, 8, 3, standard, False)]
    inits = [peft_lora_ga("tall", standard, d, "stable", 1) for d in ("ArBr", "A2rBr", "ArB2r", "random")]
    inits += [peft_lora_ga("tall", s, "ArB2r", scale, 2) for s, scale in
              ((stabilised, "weight_svd"), (stabilised, "gd_scale"), (standard, "unit"))]
    inits += [peft_lora_ga("wide", stabilised, "ArB2r", "stable", 3)]
    for shape, scaling in zip(SHAPES, SCALINGS):
        inits += [lora_ga(shape, scaling, d, "stable") for d in ("ArB2r", "A2rBr", "ArBr")]
        inits += [lora_ga(shape, scaling, "ArB2r", scale)
                  for scale in ("gd", "unit", "weight-svd", "zeta-forward", "zeta-backward")]
        inits += [pissa(shape, s) for s in SCALINGS]
        inits += [olora(shape, scaling), prefilled(shape, scaling)]
    inits += [random_init("kaiming", True, bound=1 / math.sqrt(400)),  # sqrt(6 / ((1 + 5) fan_in))
              random_init("gaussian", "gaussian", standardDeviation=1 / 8)]
    assert len({i["name"] for i in inits}) == len(inits)

    def lines(items):
        return ",\n".join(json.dumps(i, separators=(",", ":"), allow_nan=False) for i in items)

    Path(__file__).with_name("golden.json").write_text(
        f'{{"format":1,"torch":"{torch.__version__}","peft":"{peft.__version__}",\n'
        f'"layers":[\n{lines(layers)}\n],\n"initialisers":[\n{lines(inits)}\n]}}\n')


if __name__ == "__main__":
    main()
