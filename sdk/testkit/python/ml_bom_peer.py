"""cyclonedx-python-lib as a stranger: takes a bill of materials, or says why not.

    ml_bom_peer.py BOM.json MODEL ANCESTOR      # strict schema 1.6, then read as objects: MODEL must be a model, made from ANCESTOR
"""

import json
import sys

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import ComponentType
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

path, model_name, ancestor_name = sys.argv[1:]
text = open(path, encoding="utf-8").read()
defect = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if defect is not None:
    sys.exit(f"not CycloneDX 1.6: {defect}")

bom = Bom.from_json(json.loads(text))
bom.validate()
models = [component for component in bom.components if component.type == ComponentType.MACHINE_LEARNING_MODEL]
model = next(component for component in models if component.name == model_name)
assert model.hashes and model.licenses, model
ancestors = {ancestor.name for ancestor in model.pedigree.ancestors}
assert ancestor_name in ancestors, ancestors
refs = {component.bom_ref.value for component in bom.components} | {bom.metadata.component.bom_ref.value}
named = {dependency.ref.value for dependency in bom.dependencies}
assert named <= refs and bom.metadata.component.bom_ref.value in named, named - refs
