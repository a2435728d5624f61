"""Lets checkov scan templates, and prints what it finds, a line each. `cargo xtask ci` runs it.

    scan.py TEMPLATE...

A rule that does not fit a resource is in the resource's metadata, with the reason: infra/manifest/src/scanner.rs.
"""
import json
import os
import subprocess
import sys


def scan(paths):
    """What checkov finds, and how many of its checks passed and were skipped. It does not use the network."""
    checkov = [sys.executable, "-m", "checkov.main", "--framework", "cloudformation", "--skip-download", "--compact"]
    files = [argument for path in paths for argument in ("--file", str(path))]
    # Its settings, and the keys of its vendor's platform, come from the environment and the home folder.
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "LOG_LEVEL": "ERROR"}
    command = [*checkov, "--output", "json", *files]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    # It exits with 1 if a check fails.
    if run.returncode not in (0, 1) or not run.stdout.strip():
        raise SystemExit(f"error: checkov exited with status {run.returncode}: {run.stderr.strip()}")
    report = json.loads(run.stdout)
    found = [
        f"{os.path.basename(check['file_path'])}: {check['resource']}: {check['check_name']} ({check['check_id']})"
        for check in report["results"]["failed_checks"]
    ]
    summary = report["summary"]
    if summary["parsing_errors"] or not summary["passed"]:
        found.append(f"checkov could not read {' '.join(map(str, paths))}")
    return found, summary


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    found, summary = scan(paths)
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    print(f"checkov: {summary['passed']} checks passed, {summary['skipped']} skipped, {summary['failed']} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
