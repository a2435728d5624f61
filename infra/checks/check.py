"""Compares the app with AWS's own data, and prints what differs, a line each. `cargo xtask ci` runs it.

    check.py templates TEMPLATE...       A template NAME.yaml has its stage's deployer's policies beside it, in
                                         NAME.deployer.json.
    check.py actions TYPE...             Prints what whoever deploys needs for resources of a type, as Rust: the permissions
                                         of all handlers, for all properties of the type.
    check.py calls FOLDER [--list]       The folder is what XTASK_RECORD_CALLS named. --list counts the requests of each
                                         operation.
"""
import pathlib
import sys

import actions
import aws_data
import calls
import handlers
import properties
from template import Template


def templates(paths):
    paths = [pathlib.Path(path) for path in paths]
    read = [Template.read(path) for path in paths]
    deployers = {}
    for path in paths:
        policies = path.with_name(f"{path.stem}.deployer.json")
        if policies.exists():
            deployers[path.stem] = handlers.read_policies(policies)
    pairs = []
    for path, template in zip(paths, read, strict=True):
        # Whoever deploys a stage deploys the bootstrap stack, too.
        policies = [deployers[path.stem]] if path.stem in deployers else deployers.values()
        pairs += [(template, of_stage) for of_stage in policies]
    faults = properties.check(read)
    faults += handlers.check(pairs, handlers.Exceptions.read(read))
    faults += actions.check(read, deployers, actions.Exceptions.read())
    kinds = {kind for template in read for _, kind, _ in template.of_types()}
    documents = sum(len(list(actions.documents_of(template))) for template in read)
    documents += sum(len(policies) for policies in deployers.values())
    checked = (
        f"{sum(len(template.resources) for template in read)} resources of {len(kinds)} types in {len(read)} templates "
        f"and {documents} policies, by schemas of {aws_data.schema_date()}"
    )
    return faults, checked


def recorded_calls(arguments):
    folder, *options = arguments
    checked = calls.check(folder)
    faults = list(checked.faults())
    if not checked.requests:
        faults.append(f"no request was recorded in {folder}")
    for name, count in sorted(checked.requests.items()) if "--list" in options else ():
        print(f"{count:>8} {name}")
    return faults, checked.summary()


def deployer_actions(kinds):
    faults = []
    for kind in kinds:
        try:
            permissions = {permission for _, permission in handlers.permissions(kind)}
        except aws_data.Unknown as unknown:
            faults.append(str(unknown))
            continue
        listed = ", ".join(f'"{permission}"' for permission in sorted(permissions, key=str.lower))
        print(f"// {kind}\n.deployer_actions(\"*\", [{listed}])")
    return faults, f"{len(kinds)} types"


VERBS = {"actions": deployer_actions, "templates": templates, "calls": recorded_calls}


def main(arguments):
    verb, *rest = arguments or [""]
    if verb not in VERBS:
        print(__doc__, file=sys.stderr)
        return 2
    faults, checked = VERBS[verb](rest)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    print(f"compared {checked}: {len(faults) or 'no'} fault{'' if len(faults) == 1 else 's'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
