"""Files that no reader may trust: tests/golden/hostile, each a valid file with one thing wrong.

index.json says of each file what must happen and why: {"NAME": ["refuse", "the dense layer is ..."], ...}. "refuse": a
clear error, and nothing is executed, opened or allocated for it. "load": all is well after all. "either": loaded or
refused, but soon and without harm. Real Keras itself loads some of what is to be refused: it looks only at the members
that it needs, takes infinite or huge numbers, and finds out later that a loss or a metric is unknown.

Made with h5py and zipfile alone, from seed_model.keras and optimizer_adam.keras of tests/golden/files.
"""

import base64
import io
import json
import os
import struct
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np

INDEX = {}
DEEP = 100_000


class Folder:
    """Writes the files and keeps the index."""

    def __init__(self, folder, corpus):
        self.folder = folder
        self.seed = self.base(corpus / "seed_model.keras", compiled=False)
        self.dense = self.base(corpus / "optimizer_adam.keras", compiled=True)

    def base(self, path, compiled):
        with zipfile.ZipFile(path) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        config = json.loads(parts["config.json"])
        if not compiled:
            config["compile_config"] = {}
            parts["model.weights.h5"] = hdf5(parts["model.weights.h5"], lambda f: f.pop("optimizer"))
        return parts | {"config.json": json.dumps(config).encode()}

    def put(self, name, content, must, why):
        if name in INDEX:
            raise KeyError(name)
        INDEX[name] = [must, why]
        (self.folder / name).write_bytes(content)

    def config(self, name, must, why, edit, of="seed", text=None):
        """A .keras whose config is edited as an object, or as text."""
        parts = dict(getattr(self, of))
        config = json.loads(parts["config.json"])
        changed = edit(config) if edit else None
        words = json.dumps(config if changed is None else changed)
        parts["config.json"] = text(words) if text else words.encode()
        if isinstance(parts["config.json"], str):
            parts["config.json"] = parts["config.json"].encode()
        self.put(f"config_{name}.keras", zipped(parts), must, why)

    def layer(self, name, must, why, of="seed", at=-1, **changes):
        """Changes the record of a layer (the last), or with c_... its config."""

        def edit(config):
            record = config["config"]["layers"][at]
            for key, value in changes.items():
                if key.startswith("c_"):
                    record["config"][key[2:]] = value
                else:
                    record[key] = value

        self.config(name, must, why, edit, of)

    def weights(self, name, must, why, edit, of="seed"):
        """A .keras whose weights are edited with h5py."""
        parts = dict(getattr(self, of))
        parts["model.weights.h5"] = hdf5(parts["model.weights.h5"], edit)
        self.put(f"weights_{name}.keras", zipped(parts), must, why)

    def bytes(self, name, must, why, edit, of="dense"):
        """A .weights.h5 whose bytes are edited."""
        content = bytearray(getattr(self, of)["model.weights.h5"])
        changed = edit(content)
        self.put(f"hdf5_{name}.weights.h5", bytes(content if changed is None else changed), must, why)


def zipped(parts, method=zipfile.ZIP_DEFLATED):
    """Deflated, so that the files are small."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, part in parts.items() if isinstance(parts, dict) else parts:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            info.compress_type = method
            file.writestr(info, part)
    return content.getvalue()


def hdf5(content, edit):
    """An HDF5 file after an edit with h5py."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edited.h5"
        path.write_bytes(content)
        here = os.getcwd()
        os.chdir(folder)
        try:
            with h5py.File(path, "r+") as file:
                edit(file)
        finally:
            os.chdir(here)
        return path.read_bytes()


def record(module, class_name, config, registered_name=None):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered_name}


def function(module, name):
    return record(module, "function", name, name)


# --- config.json


def code(folder):
    """What would run something, or look outside the file."""
    refuse = folder.config

    def last(new):
        return lambda config: config["config"]["layers"].__setitem__(-1, new)

    def lambda_layer(function, **more):
        return record("keras.layers", "Lambda", {"name": "dense", "function": function, **more})

    marshalled = record("builtins", "__lambda__", {"code": base64.b64encode(b"\xe3 no real code").decode(), "defaults": None,
                                                   "closure": None})  # fmt: skip
    refuse("lambda_bytecode", "refuse", "a Lambda layer holds marshalled Python code", last(lambda_layer(marshalled)))
    refuse("lambda_get_file", "refuse", "a Lambda layer calls keras.utils.get_file",
           last(lambda_layer(function("keras.utils", "get_file"), arguments={"origin": "http://localhost:9/x"})))
    refuse("lambda_by_name", "either", "a Lambda layer calls an ordinary function of Keras",
           last(lambda_layer(function("keras.ops", "tanh"))))
    for name, module in (("system", "os"), ("eval", "builtins"), ("loads", "pickle"), ("Popen", "subprocess")):
        refuse(f"module_{module}", "refuse", f"a layer is the function {module}.{name}", last(function(module, name)))
    refuse("enable_unsafe", "refuse", "a layer is keras.config.enable_unsafe_deserialization",
           last(function("keras.config", "enable_unsafe_deserialization")))
    folder.layer("activation_function", "refuse", "the activation of dense is os.system",
                 c_activation=function("os", "system"))
    folder.layer("initializer_function", "refuse", "an initializer of dense is the function shutil.rmtree",
                 c_kernel_initializer=function("shutil", "rmtree"))
    folder.layer("initializer_unknown", "refuse", "an initializer of dense is of no known class",
                 c_kernel_initializer=record("keras.initializers", "GlorotUniforn", {}))
    for name, layer_config in (("TFSMLayer", {"filepath": "../model", "call_endpoint": "serve"}),
                               ("TorchModuleWrapper", {"module": base64.b64encode(b"PK no pickle").decode()}),
                               ("JaxLayer", {"call_fn": function("os", "system"), "init_fn": None}),
                               ("FlaxLayer", {"module": function("os", "system")})):
        refuse(name, "refuse", f"a layer {name}, which holds code or names other files",
               last(record("keras.layers", name, {"name": "dense", **layer_config})))
    for name, vocabulary in (("path", "/etc/passwd"), ("relative_path", "index.json"), ("url", "http://localhost:9/words"),
                             ("file_url", "file:///etc/passwd")):
        for lookup in ("StringLookup", "TextVectorization") if name == "path" else ("StringLookup",):
            refuse(f"{lookup}_vocabulary_{name}", "refuse", f"the vocabulary of a {lookup} is the name of a file",
                   last(record("keras.layers", lookup, {"name": "dense", "vocabulary": vocabulary})))
    for key, value in (("optimizer", function("os", "system")), ("loss", function("os", "system")),
                       ("metrics", [function("os", "system")]), ("loss", record("builtins", "__lambda__", {}))):
        name = value.get("class_name", "") if isinstance(value, dict) else "function"
        refuse(f"compile_{key}_{name.strip('_')}", "refuse", f"compile_config: {key} is code",
               lambda config, key=key, value=value: config["compile_config"].update({key: value}), of="dense")


def names(folder):
    """Classes and names that there are not, or twice."""
    layer = folder.layer
    layer("unknown_class", "refuse", "no layer is called Danse", class_name="Danse")
    layer("unknown_module", "refuse", "Dense of a module that is not Keras", module="my.package")
    layer("class_of_other_kind", "refuse", "a layer is an optimizer", module="keras.optimizers", class_name="Adam", config={})
    layer("registered_builtin", "refuse", "a Dense of Keras with another registered name", registered_name="Evil>Dense")
    layer("unknown_registered", "refuse", "a registered class that nobody has registered", at=-2,
          class_name="OtherLayer", registered_name="Custom>OtherLayer")  # fmt: skip
    layer("unknown_key", "refuse", "dense has the unknown option 'unitz'", c_unitz=3)
    layer("missing_units", "refuse", "dense has no units", config={"name": "dense"})
    layer("same_name_twice", "refuse", "two layers are called lstm", c_name="lstm")
    layer("name_of_path", "either", "a layer is called ../../lstm", c_name="../../lstm")
    layer("name_long", "either", "the name of a layer has a million characters", c_name="n" * 1_000_000)
    layer("name_empty", "either", "the name of a layer is empty", c_name="")
    layer("name_number", "refuse", "the name of a layer is a number", c_name=7)


def numbers(folder):
    layer = folder.layer
    values = {"negative": -1, "zero": 0, "huge": 10**12, "beyond_64_bits": 10**30, "string": "128", "fraction": 3.5,
              "null": None, "true": True, "list": [3], "nan": float("nan"), "infinite": float("inf")}  # fmt: skip
    for name, value in values.items():
        layer(f"units_{name}", "refuse", f"dense has units {str(value)[:40]}", c_units=value)
    layer("units_other", "refuse", "dense has 4 units, its weights are for 3", c_units=4)
    layer("lstm_units_negative", "refuse", "the LSTM has -5 units", at=1, c_units=-5)
    layer("dropout_above_1", "refuse", "the LSTM has dropout 1.5", at=1, c_dropout=1.5)
    layer("dropout_string", "refuse", "the LSTM has dropout 'much'", at=1, c_dropout="much")
    layer("flag_string", "refuse", "return_sequences of the LSTM is 'yes'", at=1, c_return_sequences="yes")
    layer("activation_unknown", "refuse", "dense has the activation 'softmix'", c_activation="softmix")
    layer("activation_number", "refuse", "dense has the activation 3", c_activation=3)
    layer("dtype_unknown", "refuse", "dense has the dtype float31", c_dtype="float31")
    for name, shape in (("huge", [None, 10**12, 10**12]), ("overflow", [None, 2**40, 2**24]), ("negative", [None, -6, 4]),
                        ("fraction", [None, 6.5, 4]), ("beyond_64_bits", [None, 10**30, 4]), ("rank_1000", [None] + [1] * 1000),
                        ("other", [None, 6, 5]), ("string", "6,4"), ("empty", [])):  # fmt: skip
        layer(f"batch_shape_{name}", "either" if name == "other" else "refuse", f"the input has the batch_shape {str(shape)[:50]}", at=0, c_batch_shape=shape)
    for name, value in (("string", "0.1"), ("nan", float("nan")), ("list", [0.1]), ("null", None),
                        ("unknown_schedule", record("keras.optimizers.schedules", "SineDecay", {}))):  # fmt: skip
        folder.config(f"learning_rate_{name}", "refuse", f"the learning rate is {name}", lambda config, value=value:
                      config["compile_config"]["optimizer"]["config"].update(learning_rate=value), of="dense")  # fmt: skip
    folder.config("optimizer_unknown", "refuse", "no optimizer is called Adamm", lambda config:
                  config["compile_config"]["optimizer"].update(class_name="Adamm"), of="dense")  # fmt: skip
    folder.config("loss_unknown", "refuse", "no loss is called mze",
                  lambda config: config["compile_config"].update(loss="mze"), of="dense")  # fmt: skip
    folder.config("metric_unknown", "refuse", "no metric is called accuracie",
                  lambda config: config["compile_config"].update(metrics=["accuracie"]), of="dense")  # fmt: skip


def text(folder):
    """config.json that is not the JSON that it should be."""
    make = folder.config
    make("empty", "refuse", "config.json is empty", None, text=lambda t: b"")
    make("cut", "refuse", "config.json ends in the middle", None, text=lambda t: t[: len(t) // 2])
    make("trailing", "refuse", "something follows the JSON", None, text=lambda t: t + "{}")
    make("byte_order_mark", "either", "config.json begins with a byte order mark", None, text=lambda t: b"\xef\xbb\xbf" + t.encode())
    make("utf16", "either", "config.json is UTF-16", None, text=lambda t: t.encode("utf-16"))
    make("invalid_utf8", "refuse", "the name of a layer is not UTF-8", None, text=lambda t: t.encode().replace(b'"dense"', b'"d\xff\xfe"'))
    make("lone_surrogate", "either", "the name of a layer has half a surrogate pair", None,
         text=lambda t: t.replace('"dense"', '"d\\ud800"'))
    make("null_character", "either", "the name of a layer has a NUL", None, text=lambda t: t.replace('"dense"', '"d\\u0000"'))
    make("control_character", "refuse", "a string has a raw line break", None, text=lambda t: t.replace('"dense"', '"den\nse"'))
    make("single_quotes", "refuse", "strings stand in single quotes", None, text=lambda t: t.replace('"', "'"))
    make("duplicate_keys", "refuse", "dense has two different units", None,
         text=lambda t: t.replace('"units": 3', '"units": 3, "units": 4'))
    make("number_too_large", "refuse", "the dropout of the LSTM is 1e400", None,
         text=lambda t: t.replace('"dropout": 0.0', '"dropout": 1e400'))
    make("leading_zero", "refuse", "units is written 03", None, text=lambda t: t.replace('"units": 3', '"units": 03'))
    make("list", "refuse", "config.json is a list", None, text=lambda t: "[]")
    make("string", "refuse", "config.json is a string", None, text=lambda t: '"Sequential"')
    make("deep_lists", "refuse", f"{DEEP} lists inside each other", None, text=lambda t: "[" * DEEP + "]" * DEEP)
    make("deep_objects", "refuse", f"{DEEP} objects inside each other", None, text=lambda t: '{"a":' * DEEP + "1" + "}" * DEEP)
    make("deep_unfinished", "refuse", f"{DEEP} lists are opened and none is closed", None, text=lambda t: "[" * DEEP)
    make("deep_layers", "refuse", "3000 TimeDistributed layers inside each other", None, text=deep_layers)
    make("many_layers", "either", "6000 Flatten layers", None, text=many_layers)
    for name, value in (("null", None), ("object", {}), ("string", "lstm"), ("numbers", [1, 2]), ("empty", [])):
        folder.config(f"layers_{name}", "refuse", f"the layers of the model are {value!r}",
                      lambda config, value=value: config["config"].update(layers=value))  # fmt: skip
    make("model_is_layer", "refuse", "the file holds a Dense layer, not a model",
         lambda config: record("keras.layers", "Dense", {"units": 3}))
    make("model_config_string", "refuse", "the config of the model is a string", lambda config: config.update(config="x"))
    make("no_class_name", "refuse", "the record of the model has no class_name", lambda config: config.pop("class_name") and None)
    make("build_shape_other", "either", "build_config speaks of another shape", lambda config:
         config.update(build_config={"input_shape": [None, 10**9, 10**9]}))  # fmt: skip


def deep_layers(text):
    inner = '{"module": "keras.layers", "class_name": "TimeDistributed", "registered_name": null, "config": {"layer": '
    return text[: text.rindex("{\"module\": \"keras.layers\", \"class_name\": \"Dense\"")] + inner * 3000 + "null" + "}}" * 3000 + "]}}"


def many_layers(text):
    config = json.loads(text)
    layers = config["config"]["layers"]
    layers[2:] = [record("keras.layers", "Flatten", {"name": f"f{i}"}) for i in range(6000)]
    return json.dumps(config)


def graphs(folder):
    """Functional models whose graph is none."""

    def tensor(layer, node=0, index=0, shape=(None, 4)):
        return {"class_name": "__keras_tensor__", "config": {"shape": list(shape), "dtype": "float32",
                                                             "keras_history": [layer, node, index]}}  # fmt: skip

    def node(*tensors):
        return [{"args": list(tensors), "kwargs": {}}]

    def dense(name, *tensors):
        return record("keras.layers", "Dense", {"name": name, "units": 4}) | {"name": name, "inbound_nodes": node(*tensors)}

    def model(layers, outputs=(("b", 0, 0),), inputs=(("x", 0, 0),)):
        given = record("keras.layers", "InputLayer", {"batch_shape": [None, 4], "dtype": "float32", "name": "x"})
        given |= {"name": "x", "inbound_nodes": []}
        config = {"name": "f", "trainable": True, "layers": [given, *layers], "input_layers": [list(i) for i in inputs],
                  "output_layers": [list(o) for o in outputs]}  # fmt: skip
        return record("keras.src.models.functional", "Functional", config, "Functional")

    a, b = dense("a", tensor("x")), dense("b", tensor("a"))
    cases = {
        "no_such_layer": ("b is called on the output of a layer that there is not", model([a, dense("b", tensor("zzz"))])),
        "cycle": ("a and b are each called on the output of the other", model([dense("a", tensor("b")), b])),
        "itself": ("b is called on its own output", model([a, dense("b", tensor("b"))])),
        "node_negative": ("b is called on node -1 of a", model([a, dense("b", tensor("a", -1))])),
        "node_huge": ("b is called on node 10**15 of a", model([a, dense("b", tensor("a", 10**15))])),
        "tensor_index": ("b is called on the 8th output of a, which has one", model([a, dense("b", tensor("a", 0, 7))])),
        "history_strings": ("keras_history is made of strings", model([a, dense("b", tensor("a", "0", "0"))])),
        "output_unknown": ("the model's output is that of a layer that there is not", model([a, b], [("c", 0, 0)])),
        "output_node": ("the model's output is that of a call that there is not", model([a, b], [("b", 3, 0)])),
        "no_outputs": ("the model has no outputs", model([a, b], [])),
        "input_is_no_input": ("the model's input is a dense layer", model([a, b], inputs=[("a", 0, 0)])),
        "unreachable": ("the input of the model leads nowhere", model([a, b], inputs=[])),
        "no_arguments": ("b is called without arguments", model([a, dense("b")])),
        "same_name": ("two layers are called a", model([a, a, b])),
    }
    for name, (why, config) in cases.items():
        folder.config(f"graph_{name}", "refuse", why, lambda _, config=config: config)
    many = [dense("a0", tensor("x"))] + [dense(f"a{i}", tensor(f"a{i - 1}")) for i in range(1, 1800)]
    folder.config("graph_long", "either", "1800 dense layers after each other, without weights",
                  lambda _: model(many, [("a1799", 0, 0)]))


# --- the archive


def archives(folder):
    parts = folder.dense
    whole = zipped(parts)

    def put(name, content, must, why):
        folder.put(f"zip_{name}.keras", bytes(content), must, why)

    def renamed(old, new):
        return [(new if name == old else name, part) for name, part in parts.items()]

    put("good_deflated", whole, "load", "nothing is wrong: the members are deflated")
    put("comment", whole[:-2] + struct.pack("<H", 5) + b"hello", "load", "nothing is wrong: the archive has a comment")
    put("no_metadata", zipped({k: v for k, v in parts.items() if k != "metadata.json"}), "either", "metadata.json is missing")
    put("metadata_broken", zipped(parts | {"metadata.json": b"{"}), "either", "metadata.json is no JSON")
    put("metadata_newer", zipped(parts | {"metadata.json": b'{"keras_version": "99.0.0"}'}), "either", "written by Keras 99")
    put("no_config", zipped({k: v for k, v in parts.items() if k != "config.json"}), "refuse", "config.json is missing")
    put("no_weights", zipped({k: v for k, v in parts.items() if "weights" not in k}), "refuse", "the weights are missing")
    put("weights_npz", zipped(renamed("model.weights.h5", "model.weights.npz")), "refuse", "the weights are called .npz")
    put("weights_empty", zipped(parts | {"model.weights.h5": b""}), "refuse", "the weights are an empty file")
    put("weights_text", zipped(parts | {"model.weights.h5": b"no HDF5"}), "refuse", "the weights are no HDF5")
    put("nothing", zipped({}), "refuse", "the archive has no members")
    put("empty", b"", "refuse", "the file is empty")
    put("in_folder", zipped([(f"model/{k}", v) for k, v in parts.items()]), "refuse", "the members lie in a folder")
    put("is_hdf5", parts["model.weights.h5"], "refuse", "the file is HDF5 and holds no model")
    for name, bad in (("dots", "../config.json"), ("absolute", "/config.json"), ("backslash", "..\\config.json"),
                      ("assets_dots", "assets/../../x.txt")):
        put(f"name_{name}", zipped([*parts.items(), (bad, b"{}")]), "refuse", f"a member is called {bad}")
    link = zipfile.ZipInfo("assets/link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    put("symbolic_link", zipped([*parts.items(), (link, b"/etc/passwd")]), "refuse", "a member is a symbolic link")
    put("nul_in_name", zipped([*parts.items(), ("config.jsonXtxt", b"{}")]).replace(b"config.jsonXtxt", b"config.json\0txt"),
        "refuse", "the name of a member has a NUL")
    put("duplicate_config", zipped([*parts.items(), ("config.jsom", b"{}")]).replace(b"config.jsom", b"config.json"), "refuse",
        "two members are called config.json")
    put("bomb", zipped(parts | {"config.json": b" " * 18_000_000}), "refuse", "config.json is 18 MB of spaces in 18 kB")
    put("bomb_asset", zipped([*parts.items(), ("assets/zeros", bytes(18_000_000))]), "either",
        "an asset of no layer is 18 MB of zeros in 18 kB")

    stored = zipped(parts, zipfile.ZIP_STORED)
    central = stored.index(b"PK\x01\x02", stored.index(b"PK\x01\x02") + 4)  # that of config.json
    end = stored.rindex(b"PK\x05\x06")

    def patched(at, value, kind="<H", of=stored):
        content = bytearray(of)
        struct.pack_into(kind, content, at, value)
        return content

    put("method_unknown", patched(central + 10, 99), "refuse", "a member is compressed by method 99")
    put("encrypted", patched(central + 8, 1), "refuse", "a member is said to be encrypted")
    put("crc", patched(central + 16, 0, "<I"), "refuse", "the checksum of a member is wrong")
    put("content_changed", stored.replace(b'"units": 3', b'"units": 7', 1), "refuse", "config.json does not match its checksum")
    put("local_name", stored.replace(b"config.json", b"config.jsom", 1), "refuse", "the two headers of a member give it two names")
    put("size_huge", patched(central + 24, 0xFFFFFFF0, "<I"), "refuse", "a member of a few bytes is said to have 4 GiB")
    put("size_zip64_missing", patched(central + 24, 0xFFFFFFFF, "<I"), "refuse", "a size is in a zip64 field that there is not")
    put("offset_beyond", patched(central + 42, 0x7FFFFFFF, "<I"), "refuse", "a member begins beyond the end of the file")
    second = stored.index(b"PK\x01\x02", central + 4)
    put("overlapping", patched(second + 42, stored.index(b"config.json") - 30, "<I"), "refuse", "two members lie in the same place")
    put("count_too_large", patched(patched_at := end + 10, 60000, of=patched(patched_at - 2, 60000)), "either",
        "60,000 members are announced, three are there")
    put("directory_beyond", patched(end + 16, 0x7FFFFFFF, "<I"), "refuse", "the directory begins beyond the end of the file")
    put("cut_in_half", whole[: len(whole) // 2], "refuse", "the second half is missing")
    put("cut_end", whole[:-10], "refuse", "the last 10 bytes are missing")
    put("bytes_before", b"#!/bin/sh\n" + whole, "either", "something stands before the archive")
    deflated = bytearray(whole)
    at = whole.index(b"config.json") + 11 + 100
    deflated[at : at + 40] = b"\xff" * 40
    put("deflate_broken", deflated, "refuse", "the compressed bytes of config.json are damaged")


# --- the weights, with h5py

DENSE = "layers/dense/vars"


def replaced(file, name, make):
    """Puts something else in the place of a dataset."""
    value = file[name][()]
    del file[name]
    make(value)


def links(folder):
    def put(name, why, edit, must="refuse"):
        folder.weights(name, must, why, edit)

    outside = "good_dense.weights.h5"  # really there, so that a reader who follows the link loads it
    leaf, kernel = f"{DENSE}/0", f"{DENSE}/1"

    def instead(name, link):
        return lambda file: (file.pop(name), file.__setitem__(name, link))[1]

    put("soft_link", "a weight is a soft link to another name for it", lambda f: (
        f.move(leaf, f"{DENSE}/kept"), f.__setitem__(leaf, h5py.SoftLink(f"/{DENSE}/kept")))[1])
    put("soft_link_dangling", "a weight is a soft link to nothing", instead(leaf, h5py.SoftLink("/nowhere")))
    put("soft_link_itself", "a weight is a soft link to itself", instead(leaf, h5py.SoftLink(f"/{leaf}")))
    put("soft_link_group", "the group of a layer is a soft link", lambda f: (
        f.move("layers/dense", "layers/kept"), f.__setitem__("layers/dense", h5py.SoftLink("/layers/kept")))[1])
    put("external_link", "a weight is a link to another file, which is there",
        instead(kernel, h5py.ExternalLink(outside, "/layers/dense/vars/1")))
    put("external_link_passwd", "a weight is a link to /etc/passwd", instead(leaf, h5py.ExternalLink("/etc/passwd", "/x")))
    put("external_link_group", "the group of all layers is a link to another file, which is there",
        instead("layers", h5py.ExternalLink(outside, "/layers")))
    put("hard_link_cycle", "a group holds itself under another name",
        lambda f: f["layers/dense"].__setitem__("dense", f["layers/dense"]), "either")
    put("hard_link_to_root", "a group holds the root", lambda f: f["layers/lstm"].__setitem__("root", f["/"]), "either")
    put("hard_link_weight", "two weights of one shape are the same dataset", lambda f: (
        f.pop("layers/attention_layer/vars/1"),
        f.__setitem__("layers/attention_layer/vars/1", f[f"{DENSE}/1"]))[1], "either")  # fmt: skip


def storage(folder):
    def put(name, why, make, must="refuse", at=1):
        folder.weights(name, must, why, lambda f: replaced(f, f"{DENSE}/{at}", lambda v: make(f, f"{DENSE}/{at}", v)))

    put("external_storage", "a weight lies in another file, which is there and long enough", lambda f, n, v:
        f.create_dataset(n, v.shape, "<f4", external=[("index.json", 0, v.nbytes)]))  # fmt: skip
    put("external_storage_passwd", "a weight lies in /etc/passwd", lambda f, n, v:
        f.create_dataset(n, v.shape, "<f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]))  # fmt: skip

    def virtual(f, n, v):
        layout = h5py.VirtualLayout(v.shape, "<f4")
        layout[:] = h5py.VirtualSource("good_dense.weights.h5", "layers/dense/vars/1", v.shape)
        f.create_virtual_dataset(n, layout)

    put("virtual", "a weight is a virtual dataset over another file", virtual)
    put("huge_chunked", "a weight has 2**60 numbers, none of them stored", lambda f, n, v:
        f.create_dataset(n, (2**40, 2**20), "<f4", chunks=(64, 64)))  # fmt: skip
    put("huge_gzip", "a weight of 8 GB, compressed, none of it stored", lambda f, n, v:
        f.create_dataset(n, (2**31,), "<f4", chunks=(2**16,), compression="gzip"))  # fmt: skip
    put("huge_contiguous", "a weight of 2**58 numbers, none of them stored", lambda f, n, v:
        f.create_dataset(n, (2**58,), "<f4"))  # fmt: skip
    put("huge_chunk", "a weight of 3 numbers in a chunk of 1 GiB", lambda f, n, v:
        f.create_dataset(n, (3,), "<f4", maxshape=(None,), chunks=(2**28,)), "either")  # fmt: skip
    put("not_stored", "a weight of the right shape was never written", lambda f, n, v:
        f.create_dataset(n, v.shape, "<f4"), "either")  # fmt: skip
    put("extendable", "nothing is wrong: a weight may grow", lambda f, n, v:
        f.create_dataset(n, data=v, maxshape=(None,), chunks=(2,)), "load")  # fmt: skip
    put("lzf", "a weight is compressed by LZF, a filter of h5py alone", lambda f, n, v:
        f.create_dataset(n, data=v, chunks=True, compression="lzf"))  # fmt: skip
    put("scale_offset", "a weight is stored by the scale-offset filter", lambda f, n, v:
        f.create_dataset(n, data=v, chunks=True, scaleoffset=4), "either")  # fmt: skip
    put("compact", "nothing is wrong: a weight is stored in its header", compact, "load")


def compact(f, n, v):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(v.shape)
    made = h5py.h5d.create(f.id, n.encode(), h5py.h5t.IEEE_F32LE, space, plist)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(v))


def contents(folder):
    def put(name, why, make, must="refuse", at=1):
        folder.weights(name, must, why, lambda f: replaced(f, f"{DENSE}/{at}", lambda v: make(f, f"{DENSE}/{at}", v)))

    def data(change):
        return lambda f, n, v: f.create_dataset(n, data=change(v))

    put("missing", "a weight is missing", lambda f, n, v: None)
    put("wrong_shape", "a weight has 4 numbers instead of 3", data(lambda v: np.ones(4, "<f4")))
    put("wrong_rank", "a weight has the shape (3, 1) instead of (3,)", data(lambda v: v[:, None]))
    put("scalar", "a weight is one number", data(lambda v: v[0]))
    put("transposed", "a kernel is transposed", data(lambda v: v.T), at=0)
    put("zero_size", "a weight has no numbers", data(lambda v: v[:0]))
    put("null_space", "a weight has no dataspace", lambda f, n, v: f.create_dataset(n, data=h5py.Empty("<f4")))
    put("is_group", "a group stands where a weight should", lambda f, n, v: f.create_group(n))
    put("is_datatype", "a datatype stands where a weight should", lambda f, n, v: f.__setitem__(n, np.dtype("<f4")))
    put("strings", "a weight is made of strings", data(lambda v: np.array([b"a", b"b", b"c"])))
    put("vlen_strings", "a weight is made of strings of any length", lambda f, n, v:
        f.create_dataset(n, data=["a", "b", "c"], dtype=h5py.string_dtype()))  # fmt: skip
    put("vlen_numbers", "a weight is made of lists of any length", lambda f, n, v:
        f.create_dataset(n, (3,), h5py.vlen_dtype("<f4")))  # fmt: skip
    put("compound", "a weight is made of records", data(lambda v: np.zeros(3, [("a", "<f4"), ("b", "<i4")])))
    put("array_type", "a weight is made of arrays", data(lambda v: np.zeros(3, [("a", "<f4", 2)])))
    put("references", "a weight is made of references", lambda f, n, v:
        f.create_dataset(n, data=[f["layers"].ref] * 3, dtype=h5py.ref_dtype))  # fmt: skip
    put("opaque", "a weight is made of opaque bytes without a dtype attribute", data(lambda v: np.zeros(3, "V2")))
    put("complex", "a weight is complex", data(lambda v: v.astype("c8")))
    put("bool", "a weight is made of truth values", data(lambda v: v > 0), "either")
    put("integers", "a weight is made of integers", data(lambda v: np.arange(3, dtype="<i4")), "either")
    put("half", "nothing is wrong: a weight is float16", data(lambda v: v.astype("<f2")), "load")
    put("big_endian", "nothing is wrong: a weight is big-endian", data(lambda v: v.astype(">f4")), "load")
    put("long_double", "a weight is long double", data(lambda v: v.astype(np.longdouble)), "either")
    put("not_finite", "a weight is NaN", data(lambda v: v * np.nan), "either")

    def edit(name, why, change, must="refuse"):
        folder.weights(name, must, why, change)

    edit("one_more", "dense has a third weight", lambda f: f.create_dataset(f"{DENSE}/2", data=np.zeros(3, "<f4")))
    edit("gap", "the weights of dense are 0 and 2", lambda f: f.move(f"{DENSE}/1", f"{DENSE}/2"))
    edit("name_not_number", "the weights of dense are 0 and x", lambda f: f.move(f"{DENSE}/1", f"{DENSE}/x"))
    edit("name_zeros", "the weights of dense are 0 and 01", lambda f: f.move(f"{DENSE}/1", f"{DENSE}/01"))
    edit("no_layer", "dense has no weights", lambda f: f.pop("layers/dense"))
    edit("no_layers", "there are no layers", lambda f: f.pop("layers"))
    edit("layer_renamed", "dense is called dense_7", lambda f: f.move("layers/dense", "layers/dense_7"))
    edit("layer_is_weight", "a weight stands where the group of a layer should", lambda f: (
        f.pop("layers/dense"), f.create_dataset("layers/dense", data=np.zeros(3))))
    edit("layer_more", "nothing is wrong: a group that no layer asks for", lambda f:
         f.create_dataset("layers/dense_7/vars/0", data=np.zeros(3, "<f4")), "load")  # fmt: skip
    edit("attributes_many", "a group has 60 attributes more", lambda f: [
        f["layers/dense"].attrs.create(f"a{i}", i) for i in range(60)] and None, "either")
    edit("attribute_long", "the name in an attribute has 60,000 characters", lambda f:
         f[DENSE].attrs.__setitem__("name", "n" * 60_000), "either")  # fmt: skip
    edit("attribute_number", "the name in an attribute is a number", lambda f: f[DENSE].attrs.__setitem__("name", 7), "either")
    edit("name_slash_dots", "a group is called ..", lambda f: f["layers"].create_group(".."), "either")
    edit("groups_many", "300 groups that no layer asks for", lambda f: [
        f.create_group(f"layers/g{i}") for i in range(300)] and None, "either")
    edit("groups_deep", "500 groups inside each other", lambda f: f.create_group("/".join(["g"] * 500)) and None, "either")


def optimizers(folder):
    """The optimizer's variables are not those of the optimizer. The weights are right."""
    at = "optimizer/vars"

    def put(name, why, edit):
        folder.weights(f"optimizer_{name}", "either", f"the optimizer's {why}", edit, of="dense")

    def instead(name, value):
        return lambda f: (f.pop(f"{at}/{name}"), f.create_dataset(f"{at}/{name}", data=value))

    put("missing", "variables are missing", lambda f: f.pop("optimizer"))
    put("one_missing", "last variable is missing", lambda f: f.pop(f"{at}/5"))
    put("one_more", "variables are one too many", lambda f: f.create_dataset(f"{at}/6", data=np.zeros(3, "<f4")))
    put("of_sgd", "variables are those of SGD with momentum", lambda f: [f.pop(f"{at}/{i}") for i in (4, 5)])
    put("shape", "variables have another shape", instead(2, np.zeros((3, 5), "<f4")))
    put("iteration_missing", "step count is missing", lambda f: f.pop(f"{at}/0"))
    put("iteration_negative", "step count is -3", instead(0, np.int32(-3)))
    put("iteration_fraction", "step count is 2.5", instead(0, np.float32(2.5)))
    put("iteration_huge", "step count is 2**62", instead(0, np.int64(2**62)))
    put("iteration_list", "step count is a list", instead(0, np.zeros(3, "<i4")))
    put("rate_nan", "learning rate is NaN", instead(1, np.float32(np.nan)))
    put("link", "first average is a link to another file",
        lambda f: (f.pop(f"{at}/2"), f.__setitem__(f"{at}/2", h5py.ExternalLink("good_dense.weights.h5", f"/{at}/2")))[1])
    INDEX["weights_optimizer_link.keras"][0] = "refuse"
    folder.put("plain_external_link.weights.h5", hdf5(folder.dense["model.weights.h5"], lambda f: (
        f.pop(f"{DENSE}/0"), f.__setitem__(f"{DENSE}/0", h5py.ExternalLink("good_dense.weights.h5", f"/{DENSE}/0")))[1]),
        "refuse", "a weight is a link to another file, which is there")  # fmt: skip
    folder.put("plain_external_storage.weights.h5", hdf5(folder.dense["model.weights.h5"], lambda f: replaced(
        f, f"{DENSE}/1", lambda v: f.create_dataset(f"{DENSE}/1", v.shape, "<f4", external=[("index.json", 0, v.nbytes)]))),
        "refuse", "a weight lies in another file, which is there")  # fmt: skip


# --- the weights, byte by byte (HDF5 File Format Specification, version 0 of the superblock)


def header_of(content, name):
    """The address of the object header of a name."""
    with h5py.File(io.BytesIO(bytes(content))) as file:
        return h5py.h5o.get_info(file[name].id).addr


def message(content, name, kind):
    """Where the data of a message in the header of a name begins."""
    at = header_of(content, name)
    blocks = [(at + 16, at + 16 + struct.unpack_from("<I", content, at + 8)[0])]
    for at, end in blocks:
        while at + 8 <= end:
            found, length = struct.unpack_from("<HH", content, at)
            if found == kind:
                return at + 8
            if found == 0x10:  # the header goes on elsewhere
                start, size = struct.unpack_from("<QQ", content, at + 8)
                blocks.append((start, start + size))
            at += 8 + length
    raise LookupError(f"{name} has no message {kind}")


def damage(folder):
    KERNEL = f"{DENSE}/0"

    def put(name, why, edit, must="refuse"):
        folder.bytes(name, must, why, edit)

    def word(place, value, kind="<Q"):
        """Writes a number at a place, which is a number or found in the file."""
        return lambda c: struct.pack_into(kind, c, place(c) if callable(place) else place, value)

    def tree(c):
        return struct.unpack_from("<Q", c, 80)[0]

    def heap(c):
        return struct.unpack_from("<Q", c, 88)[0]

    def node(c):
        return struct.unpack_from("<Q", c, tree(c) + 32)[0]

    def part(kind, offset):
        return lambda c: message(c, KERNEL, kind) + offset

    beyond = 2**40
    put("signature", "the signature is wrong", word(0, 0x21, "B"))
    put("version", "the superblock has version 99", word(8, 99, "B"))
    put("size_of_offsets", "offsets have 3 bytes", word(13, 3, "B"))
    put("size_of_lengths", "lengths have 0 bytes", word(14, 0, "B"))
    put("leaf_k", "a leaf of a group has room for 0 names", word(16, 0, "<H"))
    put("base_address", "the base address lies beyond the end", word(24, beyond))
    put("end_address", "the file is said to end beyond its end", word(40, beyond))
    put("end_address_small", "the file is said to end after 100 bytes", word(40, 100))
    put("root_beyond", "the root lies beyond the end", word(64, beyond))
    put("root_undefined", "the root has the undefined address", word(64, 2**64 - 1))
    put("root_at_superblock", "the root lies in the superblock", word(64, 0))
    put("tree_beyond", "the tree of a group lies beyond the end", lambda c: struct.pack_into(
        "<Q", c, message(c, "layers/dense/vars", 0x11), beyond))  # fmt: skip
    put("tree_entries", "a tree has 65,535 entries", word(lambda c: node_tree(c) + 6, 65535, "<H"))
    put("tree_level", "a tree has the level 200", word(lambda c: node_tree(c) + 5, 200, "B"))
    put("tree_type", "the tree of a group is one of chunks", word(lambda c: node_tree(c) + 4, 1, "B"))

    def tree_cycle(c):
        at = node_tree(c)
        c[at + 5] = 1
        struct.pack_into("<Q", c, at + 32, at)

    put("tree_cycle", "the child of a tree is the tree", tree_cycle)
    put("tree_sibling_cycle", "the right sibling of a tree is the tree", lambda c: struct.pack_into(
        "<Q", c, node_tree(c) + 16, node_tree(c)), "either")  # fmt: skip
    put("tree_child_beyond", "the child of a tree lies beyond the end", word(lambda c: node_tree(c) + 32, beyond))
    put("node_symbols", "a node has 65,535 names", word(lambda c: node_node(c) + 6, 65535, "<H"))
    put("node_name_beyond", "a name lies beyond the heap", word(lambda c: node_node(c) + 8, beyond))
    put("node_header_beyond", "an object lies beyond the end", word(lambda c: node_node(c) + 16, beyond))
    put("node_header_is_group", "the header of a weight is that of its group", lambda c: struct.pack_into(
        "<Q", c, node_node(c) + 16, header_of(c, DENSE)))  # fmt: skip
    put("heap_data_beyond", "the data of a heap lies beyond the end", word(lambda c: node_heap(c) + 24, beyond))
    put("heap_size", "a heap has 2**40 bytes", word(lambda c: node_heap(c) + 8, beyond))
    put("heap_free_beyond", "the free list of a heap begins beyond it", word(lambda c: node_heap(c) + 16, beyond), "either")
    put("header_version", "an object header has version 77", word(lambda c: header_of(c, KERNEL), 77, "B"))
    put("header_messages", "an object header has 65,535 messages", word(lambda c: header_of(c, KERNEL) + 2, 65535, "<H"))
    put("header_size", "an object header has 2**31 bytes", word(lambda c: header_of(c, KERNEL) + 8, 2**31, "<I"))
    put("message_size", "a message is longer than its header", word(part(1, -6), 65535 // 8 * 8, "<H"))
    put("message_unknown", "the dataspace is a message of unknown kind", word(part(1, -8), 0x77, "<H"))
    put("space_rank", "a weight has 255 dimensions", word(part(1, 1), 255, "B"))
    put("space_version", "a dataspace has version 9", word(part(1, 0), 9, "B"))
    put("space_dimension", "a weight has 2**62 rows", word(part(1, 8), 2**62))
    put("space_overflow", "the product of the dimensions overflows to a small number", lambda c: (
        struct.pack_into("<QQ", c, message(c, KERNEL, 1) + 8, 2**32, 2**32 + 1)))  # fmt: skip
    put("type_class", "a weight has the unknown datatype 14", word(part(3, 0), 0x1E, "B"))
    put("type_size_zero", "a number of a weight has 0 bytes", word(part(3, 4), 0, "<I"))
    put("type_size_huge", "a number of a weight has 4 GiB", word(part(3, 4), 0xFFFFFFFC, "<I"))
    put("type_bits", "the exponent of a number lies beyond it", word(part(3, 12), 200, "B"))
    put("layout_beyond", "the numbers of a weight lie beyond the end", word(part(8, 2), beyond))
    put("layout_overlap", "the numbers of a weight lie in the superblock", word(part(8, 2), 0), "either")
    put("layout_size", "the numbers of a weight take 2**40 bytes", word(part(8, 10), beyond))
    put("layout_size_small", "the numbers of a weight take 4 bytes", word(part(8, 10), 4))
    put("layout_class", "a weight is stored in the unknown way 9", word(part(8, 1), 9, "B"))
    for share in (1, 2, 3):
        put(f"cut_{share}_of_4", f"only {share} of 4 parts of the file are there", lambda c, share=share: c[: len(c) * share // 4])
    put("cut_last_byte", "the last byte is missing", lambda c: c[:-1], "either")
    put("zeros_after_superblock", "after the superblock there are zeros", lambda c: c[:96] + bytes(len(c) - 96))

    collection = folder.dense["model.weights.h5"].find(b"GCOL")
    put("global_heap_size", "a collection of strings has 2**40 bytes", word(collection + 8, beyond), "either")
    put("global_heap_object_zero", "a string in a collection has the size 2**62", word(collection + 24, 2**62), "either")
    put("vlen_beyond", "the string of an attribute lies beyond the end", lambda c: vlen_address(c, beyond), "either")

    def filtered(c, edit):
        content = bytearray(hdf5(bytes(c), lambda f: replaced(f, KERNEL, lambda v: f.create_dataset(
            KERNEL, data=v, chunks=v.shape, compression="gzip", fletcher32=True))))  # fmt: skip
        edit(content)
        return content

    def chunk(c):
        with h5py.File(io.BytesIO(bytes(c))) as file:
            return file[KERNEL].id.get_chunk_info(0)

    def filter_id(c, value):
        at = c.index(b"deflate\0")
        struct.pack_into("<H", c, at - 8, value)

    put("filter_unknown", "a weight went through the unknown filter 31999", lambda c: filtered(c, lambda d: filter_id(d, 31999)))
    put("filter_szip", "a weight is said to be compressed by szip, and is not", lambda c: filtered(c, lambda d: filter_id(d, 4)))
    put("filter_data", "the compressed numbers of a weight are damaged", lambda c: filtered(
        c, lambda d: d.__setitem__(chunk(d).byte_offset + 8, d[chunk(d).byte_offset + 8] ^ 255)))  # fmt: skip
    put("chunk_size", "a chunk takes 2 GiB in the file", lambda c: filtered(c, lambda d: chunk_tree(d, 24, 2**31 - 1, "<I")))
    put("chunk_beyond", "a chunk lies beyond the end", lambda c: filtered(c, lambda d: chunk_tree(d, None, beyond, "<Q")))


def chunk_tree(content, offset, value, kind):
    """Writes into the one entry in the tree of chunks: size, filters, offsets of each axis and of the bytes, address."""
    at = struct.unpack_from("<Q", content, message(content, f"{DENSE}/0", 8) + 3)[0]
    struct.pack_into(kind, content, at + (24 + 8 + 3 * 8 if offset is None else offset), value)


def node_tree(c):
    """The tree, heap and node of the group of dense's weights."""
    return struct.unpack_from("<Q", c, message(c, DENSE, 0x11))[0]


def node_heap(c):
    return struct.unpack_from("<Q", c, message(c, DENSE, 0x11) + 8)[0]


def node_node(c):
    return struct.unpack_from("<Q", c, node_tree(c) + 32)[0]


def vlen_address(c, value):
    """The attribute `name` of dense's group ends with length, collection, index."""
    at = c.index(b"name\0", header_of(c, DENSE))
    collection = bytes(c).find(b"GCOL")
    place = bytes(c).index(struct.pack("<Q", collection), at)
    struct.pack_into("<Q", c, place, value)


# --- legacy .h5


def legacy(folder, corpus):
    content = (corpus / "not_compiled.h5").read_bytes()

    def put(name, why, edit, must="refuse"):
        folder.put(f"legacy_{name}.h5", hdf5(content, edit), must, why)

    def words(change, of="model_config"):
        def edit(file):
            config = json.loads(file.attrs[of])
            changed = change(config)
            file.attrs[of] = np.bytes_(json.dumps(config if changed is None else changed))

        return edit

    folder.put("legacy_good.h5", content, "load", "nothing is wrong")
    put("no_config", "there is no model_config", lambda f: f.attrs.pop("model_config"))
    put("config_text", "model_config is no JSON", lambda f: f.attrs.__setitem__("model_config", np.bytes_(b"{")))
    put("config_number", "model_config is a number", lambda f: f.attrs.__setitem__("model_config", 7))
    put("config_deep", "model_config has 5000 lists inside each other", lambda f:
        f.attrs.__setitem__("model_config", np.bytes_(b"[" * 5000)))  # fmt: skip
    put("lambda", "a Lambda layer holds marshalled Python code", words(lambda c: c["config"]["layers"].append(
        {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAAA=", None, None], "function_type": "lambda"}})))
    put("module", "a layer is the function os.system", words(lambda c: c["config"]["layers"].append(function("os", "system"))))
    put("no_weights", "there is no model_weights", lambda f: f.pop("model_weights"))
    put("layer_names_missing", "model_weights has no layer_names", lambda f: f["model_weights"].attrs.pop("layer_names"))
    put("layer_names_other", "layer_names names a layer that there is not",
        lambda f: f["model_weights"].attrs.__setitem__("layer_names", [b"zzz"]))
    put("layer_names_numbers", "layer_names are numbers", lambda f: f["model_weights"].attrs.__setitem__("layer_names", [1, 2]))
    put("layer_names_path", "a name in layer_names leads out of its group",
        lambda f: f["model_weights"].attrs.__setitem__("layer_names", [b"../model_weights/y"]), "either")

    def weight_names(*names):
        return lambda f: f["model_weights/y"].attrs.__setitem__("weight_names", list(names))

    first, second = h5_names(content)
    put("weight_names_fewer", "the layer y has one weight", weight_names(first))
    put("weight_names_absolute", "a weight's name begins at the root",
        weight_names(b"/model_weights/y/" + first, second), "either")
    put("weight_names_dots", "a weight's name leads out of its group", weight_names(b"../y/" + first, second), "either")
    put("weight_names_group", "a weight's name is that of a group", weight_names(first.split(b"/")[0], second))
    put("weight_names_swapped", "the weights are in the wrong order", weight_names(second, first))

    def external(f):
        group = f["model_weights/y"]
        inner = first.split(b"/")[0].decode()
        del group[inner]
        group[inner] = h5py.ExternalLink("legacy_good.h5", f"/model_weights/y/{inner}")

    put("external_link_between", "a group on the way to a weight is a link to another file, which is there", external)
    put("soft_link_layer", "the group of a layer is a soft link", lambda f: (
        f["model_weights"].move("y", "kept"), f["model_weights"].__setitem__("y", h5py.SoftLink("/model_weights/kept")))[1])
    put("training_config_lambda", "the loss is marshalled Python code", lambda f: f.attrs.__setitem__(
        "training_config", np.bytes_(json.dumps({"loss": record("builtins", "__lambda__", {"code": "4wEAAAA="}), "metrics": None,
                                                 "optimizer_config": {"class_name": "Adam", "config": {}}}))))  # fmt: skip


def h5_names(content):
    with h5py.File(io.BytesIO(content)) as file:
        return [name if isinstance(name, bytes) else name.encode() for name in file["model_weights/y"].attrs["weight_names"]]


def write(folder, corpus):
    make = Folder(folder, corpus)
    make.put("good_seed.keras", zipped(make.seed), "load", "nothing is wrong")
    make.put("good_dense.keras", zipped(make.dense), "load", "nothing is wrong")
    make.put("good_dense.weights.h5", make.dense["model.weights.h5"], "load", "nothing is wrong")
    for part in (code, names, numbers, text, graphs, archives, links, storage, contents, optimizers, damage):
        part(make)
    legacy(make, corpus)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(INDEX.items()))
    (folder / "index.json").write_text("{\n" + rows + "\n}\n")
    print(f"{len(INDEX)} files")
