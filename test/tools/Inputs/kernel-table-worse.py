"""What `kernel-table --check` calls worse, without a compiler or ptxas."""

import importlib.machinery
import importlib.util
import sys

loader = importlib.machinery.SourceFileLoader("kernel_table", sys.argv[1])
sys.dont_write_bytecode = True
table = importlib.util.module_from_spec(importlib.util.spec_from_loader("kernel_table", loader))
loader.exec_module(table)

before = dict.fromkeys(table.COLUMNS, 0) | {"kernels": 2, "registers": 64, "instructions": 1000, "HMMA": 32, "shared": 512}


def found(same_ptxas=True, **changes):
    return table.worse(("m/tiny/f32", "matmul"), before | changes, before, same_ptxas)


assert found() == []
assert found(registers=70) == [], "ptxas moves a few"
assert found(registers=80) == ["m/tiny/f32 matmul: 80 registers, were 64"]
assert found(registers=80, same_ptxas=False) == [], "another ptxas allocates otherwise"
assert found(spilled=8, same_ptxas=False) == ["m/tiny/f32 matmul: 8 spilled"]
assert found(local=4) == ["m/tiny/f32 matmul: 4 local"]
assert found(instructions=2000) == ["m/tiny/f32 matmul: 2000 instructions in 2 kernels, were 1000 in 2"]
assert found(instructions=2000, kernels=4) == [], "twice the kernels"
assert found(HMMA=0) == ["m/tiny/f32 matmul: 0 HMMA, were 32"]
assert found(shared=1024) == ["m/tiny/f32 matmul: 1024 bytes shared, were 512"]
