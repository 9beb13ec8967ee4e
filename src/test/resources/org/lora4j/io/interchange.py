"""Adapters and tensors as Python writes them, and Python's view of those that lora4j writes.

Made with torch 2.13.0 (CPU), peft 0.21.0 and safetensors 0.8.0. Usage:

  python3 interchange.py make FOLDER SEED    writes into FOLDER what is described below
  python3 interchange.py check FOLDER        loads every adapter in FOLDER/adapters with PEFT; see check()

The golden files beside this script are `PYTHONHASHSEED=0 python3 interchange.py make golden 3`.

  tensors.safetensors   a tensor of every dtype that torch and safetensors share; floats.safetensors holds
                        the same floats as float32
  model.safetensors     the base model, Net
  adapters/NAME         an adapter, saved by PEFT; NAME-converted is the one of rank 2r that PEFT makes of it
  frozen/NAME           for adapters whose start was taken out of the base: the weights it left
  start/NAME            that start
  cases.safetensors     the input "x" and for each adapter the model's output NAME
  patterns.json         what PEFT's functions say of patterns and module names
"""
import json
import math
import sys
import warnings
from pathlib import Path

import peft
import safetensors
import torch
from peft import LoraConfig, LoraGAConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

torch.set_num_threads(1)


class Block(torch.nn.Module):
    def __init__(self, conv1d):
        super().__init__()
        self.dense = Conv1D(5, 7) if conv1d else torch.nn.Linear(7, 5)
        self.dense_out = torch.nn.Linear(5, 4)


class Net(torch.nn.Module):
    """Three layers: `dense`, whose name also ends `block.0.dense`, which begins `block.0.dense_out`."""

    def __init__(self, conv1d=False):
        super().__init__()
        self.dense = torch.nn.Linear(6, 7)
        self.block = torch.nn.ModuleList([Block(conv1d)])

    def forward(self, x):
        return self.block[0].dense_out(torch.tanh(self.block[0].dense(torch.tanh(self.dense(x)))))


def net(folder, frozen=None, conv1d=False):
    model = Net(conv1d)
    weights = load_file(folder / "model.safetensors")
    if conv1d:
        weights["block.0.dense.weight"] = weights["block.0.dense.weight"].T.contiguous()
    model.load_state_dict(weights)
    if frozen is not None:
        weights = load_file(frozen)
        missing = model.load_state_dict(weights, strict=False)
        assert not missing.unexpected_keys, missing
    return model.eval()


def train(model):
    """Moves A and B by random amounts, as training would."""
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.data += 0.3 * torch.randn_like(p)


CASES = {
    "plain": dict(r=2, lora_alpha=5),
    "rslora": dict(r=3, lora_alpha=7, use_rslora=True),
    "patterns": dict(r=2, lora_alpha=5, target_modules=r"dense|block\.\d+\.dense(_out)?",
                     rank_pattern={"^dense": 4, "dense_out": 1}, alpha_pattern={r"block\.0\.dense": 3, "dense": 9}),
    "float16": dict(r=2, lora_alpha=5), "bfloat16": dict(r=2, lora_alpha=5),
    "pissa": dict(r=2, lora_alpha=5, init_lora_weights="pissa"),
    "lora_ga": dict(r=2, lora_alpha=5, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig(direction="ArB2r"))}


def adapter(folder, name, x):
    """Saves an adapter of Net and returns what the model with it makes of x."""
    config = dict(target_modules=["block.0.dense_out", "dense"]) | CASES[name]
    model = net(folder)
    if name == "lora_ga":
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module._peft_loraga_grad = torch.randn_like(module.weight)
    model = get_peft_model(model, LoraConfig(**config))
    start = folder / "start" / name
    if name in ("pissa", "lora_ga"):
        kept = model.peft_config["default"].init_lora_weights
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(start)
        model.peft_config["default"].init_lora_weights = kept
    if name in ("float16", "bfloat16"):
        for n, p in model.named_parameters():
            if "lora_" in n:  # the numbers that the narrow type can hold, kept as float32 by PEFT
                p.data = torch.randn_like(p).to(getattr(torch, name)).float()
    else:
        train(model)
    y = model(x).detach()
    target = folder / "adapters" / name
    model.save_pretrained(target)
    if name in ("pissa", "lora_ga"):
        frozen = {n: m.base_layer.weight.detach().contiguous() for n, m in model.base_model.model.named_modules()
                  if hasattr(m, "base_layer")}
        (folder / "frozen").mkdir(exist_ok=True)
        save_file({f"{n}.weight": w for n, w in frozen.items()}, folder / "frozen" / f"{name}.safetensors")
        model.save_pretrained(folder / "adapters" / f"{name}-converted", path_initial_model_for_weight_conversion=str(start))
    if name in ("float16", "bfloat16"):
        file = target / "adapter_model.safetensors"
        save_file({n: t.to(getattr(torch, name)) for n, t in load_file(file).items()}, file, metadata={"format": "pt"})
    return y


def tensors(folder):
    def bits(count, dtype, width):
        integer = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[width]
        low, high = (0, 255) if width == 1 else (-(1 << 8 * width - 1), (1 << 8 * width - 1) - 1)
        return torch.randint(low, high, (count,), dtype=integer).view(dtype)

    floats = {"f64": torch.randn(3, 5, dtype=torch.float64), "f32": torch.randn(2, 3, 4),
              "f16": torch.tensor([0.0, -0.0, 1.5, 65504, 2 ** -24, math.inf, -math.inf, 0.1]).half(),
              "bf16": torch.tensor([[0.0, -0.0, 1.5, 3e38], [2 ** -133, math.inf, -math.inf, 0.1]]).bfloat16(),
              "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}
    others = {"bool": torch.tensor([True, False, True]), "c64": torch.randn(2, dtype=torch.complex64)}
    for width, types in {1: "uint8 int8 float8_e5m2 float8_e4m3fn float8_e8m0fnu float8_e4m3fnuz float8_e5m2fnuz", 2: "int16 uint16",
                         4: "int32 uint32", 8: "int64 uint64"}.items():
        for t in types.split():
            others[t] = bits(3, getattr(torch, t), width)
    others["name.with \"quotes\", \\ and \u00e9\U0001f600"] = torch.ones(1)
    save_file({**floats, **others}, folder / "tensors.safetensors", metadata={"what": "every dtype \u00e9 \"quoted\""})
    save_file({n: t.float() for n, t in floats.items()}, folder / "floats.safetensors")


NAMES = ["dense", "block.0.dense", "block.0.dense_out", "model.layers.1.self_attn.q_proj", "model.layers.11.self_attn.q_proj",
         "model.layers.1.experts.0.w1", "layers.1.q_proj", "q_proj", "xdense", "a+b", "h.3.attn.c_attn", "block.0.densest", ""]
KEYS = ["dense", "^dense", r"^block\.0\.dense", r"block\.0\.dense", "block.0.dense", "dense.*", r"layers\.1\..*", "layers.1.*q_proj",
        ".*q_proj", "q_proj", "(dense|q_proj)", "dense|q_proj", r"^model\.layers\.1\.", r"\d+\.dense", r"[^.]+\.dense", "[]x[]dense",
        r"(?P<n>de)nse", r"(?!block).*dense", r"(?=x).dense", r"dense$", r"^(dense)$", r"\Adense\Z", "d.{1,3}e", "d.{,4}", r"\bdense\b", "a+b",
        r"a\+b", "dens?e?", r"(x?|q)*dense", r"\w+", r"[\w.]*_proj", "(?:de(?:n(?:s(?:e)?)?)?)", ""]


def patterns(folder):
    # a key that does not match gives way to the second, which matches all
    keys = [dict(key=k, name=n, matches=get_pattern_key([k, ".*"], n) == k) for k in KEYS for n in NAMES]
    orders = [dict(keys=k, name=n, key=get_pattern_key(k, n)) for n in NAMES for k in
              (["dense", "^dense"], ["^dense", "dense"], [".*", "dense"], ["x", "q_proj", "layers.1.*"])]
    targets = []
    for config in (dict(target_modules=["dense"]), dict(target_modules=["block.0.dense", "q_proj"]), dict(target_modules=r"dense|block\.0\..*"),
                   dict(target_modules=["dense"], exclude_modules=["block.0.dense"]), dict(target_modules=["dense"], exclude_modules=r"block.*"),
                   dict(target_modules=["q_proj"], layers_to_transform=[1]), dict(target_modules=["q_proj"], layers_to_transform=11),
                   dict(target_modules=["q_proj", "w1"], layers_to_transform=[0, 1], layers_pattern="layers"),
                   dict(target_modules=["c_attn", "q_proj"], layers_to_transform=[3], layers_pattern=["h", "layers"]),
                   dict(target_modules=["w1"], layers_to_transform=[0], layers_pattern=["experts"]), dict(target_modules=[])):
        for n in NAMES:
            found = check_target_module_exists(LoraConfig(**config), n)
            targets.append(dict(config={**config, "peft_type": "LORA"}, name=n, target=bool(found) and not isinstance(found, _ExcludedModule)))
    sections = [f'"{name}":[\n' + ",\n".join(json.dumps(i) for i in items) + "\n]"
                for name, items in dict(keys=keys, orders=orders, targets=targets).items()]
    (folder / "patterns.json").write_text("{" + ",\n".join(sections) + "}\n")


def make(folder, seed):
    versions = torch.__version__.split("+")[0], peft.__version__, safetensors.__version__
    assert folder.name != "golden" or versions == ("2.13.0", "0.21.0", "0.8.0"), versions
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(Net().state_dict(), folder / "model.safetensors")
    x = torch.randn(9, 6)
    cases = {"x": x}
    for name in CASES:
        cases[name] = adapter(folder, name, x)
        if (folder / "adapters" / f"{name}-converted").exists():
            cases[f"{name}-converted"] = cases[name].clone()
    save_file(cases, folder / "cases.safetensors")
    tensors(folder)
    patterns(folder)
    for file in folder.glob("*/*/README.md"):
        file.unlink()


def check(folder):
    """For each adapters/NAME: PEFT loads it onto the base model (with NAME/base.safetensors loaded before, if it is there), adapts
    exactly the modules that the weights name, and computes expected/NAME.safetensors's "y" from "x"; so does the merged model. A
    NAME that begins with "conv1d" gets a Conv1D as its second layer. PEFT then saves it to resaved/NAME. Prints the largest error."""
    for source in sorted((folder / "adapters").iterdir()):
        base = source / "base.safetensors"
        model = net(folder, base if base.exists() else None, source.name.startswith("conv1d"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of missing and unexpected keys
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            model = PeftModel.from_pretrained(model, source)
        adapted = sorted(n for n, m in model.base_model.model.named_modules() if hasattr(m, "lora_A"))
        prefix, suffix = "base_model.model.", ".lora_A.weight"
        named = sorted(k.removeprefix(prefix).removesuffix(suffix) for k in load_file(source / "adapter_model.safetensors") if k.endswith(suffix))
        assert adapted == named, (adapted, named)
        data = load_file(folder / "expected" / f"{source.name}.safetensors")
        model.save_pretrained(folder / "resaved" / source.name)
        outputs = {"with adapter": model(data["x"]), "merged": model.merge_and_unload()(data["x"])}
        for what, y in outputs.items():
            error = ((y - data["y"]).abs().max() / data["y"].abs().max()).item()
            print(f"{source.name}, {what}: {error:.1e}")
            assert error < 1e-5, (source.name, what, error)


if __name__ == "__main__":
    command, path = sys.argv[1], Path(sys.argv[2])
    if command == "make":
        make(path, int(sys.argv[3]))
    else:
        check(path)
