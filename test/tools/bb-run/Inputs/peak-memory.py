"""peak-memory.py RUN COMMAND...: runs a training command whose run folder is RUN
and compares its largest RssAnon with the memory that config.toml reports."""
import re
import subprocess
import sys
import time

process = subprocess.Popen(sys.argv[2:], stderr=subprocess.DEVNULL)
peak = 0
while process.poll() is None:
    with open(f"/proc/{process.pid}/status") as status:
        found = re.search(r"RssAnon:\s+(\d+) kB", status.read())
    if found:
        peak = max(peak, int(found.group(1)) * 1024)
    time.sleep(0.002)
assert process.returncode == 0
text = open(sys.argv[1] + "/config.toml").read()
report = int(re.search(r'memory_bytes = "(\d+)"', text).group(1))
print(f"RssAnon {peak} bytes at most, reported {report}")
# The program itself and the machine's code take some megabytes.
assert peak <= 1.1 * report + (8 << 20)
