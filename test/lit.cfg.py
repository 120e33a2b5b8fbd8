import os

import lit.formats

config.name = "BitByte"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.substitutions.append(("%models", os.path.join(config.source_root, "models")))
config.substitutions.append(("%root", config.source_root))
config.substitutions.append(("%bb_tools", config.bb_tools))
config.substitutions.append(("%bb_stub", os.path.join(config.bb_test_tools, "bb-stub-driver.so")))
config.substitutions.append(("%llvm_tools", config.llvm_tools))
config.environment["PATH"] = os.pathsep.join(
    [config.bb_tools, config.bb_test_tools, config.llvm_tools, config.environment["PATH"]]
)
config.environment["BITBYTE_CACHE"] = os.path.join(config.test_exec_root, "kernel-cache")
