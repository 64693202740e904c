"""The parts list of gatecrash (CycloneDX 1.6): what it needs at run time, with hashes, licences, and who needs what.

The same lock gives the same bytes on the same platform: no time and no chance is in it. Licences are as the installed
packages declare them; a package for another platform only has none.
"""

from __future__ import annotations

import hashlib
import uuid

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from harness import __version__
from tests.supply.licences import declared, is_accepted
from tests.supply.lock import PROJECT, Pin


class SbomError(ValueError):
    """The parts list breaks the schema of its standard."""


def sbom(lock: list[Pin]) -> str:
    """The list as JSON. Raises SbomError when it does not fulfil the standard's schema."""
    root = Component(
        name=PROJECT, version=__version__, type=ComponentType.APPLICATION, bom_ref=PROJECT,
        licenses=[DisjunctiveLicense(id="MIT")], purl=PackageURL("pypi", None, PROJECT, __version__),
    )  # fmt: skip
    text = "".join(f"{pin.name}=={pin.version} {pin.marker} {' '.join(pin.hashes)}\n" for pin in lock)
    bom = Bom(
        components=map(_component, lock),
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(text.encode()).hexdigest()),
        dependencies=_dependencies(lock),
    )
    bom.metadata.component = root
    bom.metadata.timestamp = None  # type: ignore[assignment]
    written = JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
    require_valid(written)
    return written


def require_valid(written: str) -> None:
    """Raises SbomError for JSON that does not fulfil the standard's schema."""
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(written):
        raise SbomError(f"the parts list breaks the schema of CycloneDX: {error}")


def _component(pin: Pin) -> Component:
    purl = PackageURL("pypi", None, pin.name, pin.version)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in pin.hashes]
    licence = declared(pin.name) if pin.is_for_here else ""
    return Component(
        name=pin.name, version=pin.version, type=ComponentType.LIBRARY, bom_ref=_ref(pin), purl=purl,
        licenses=[_licence(licence)] if licence else [],
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=hashes)
        ],
        properties=[Property(name="gatecrash:only", value=pin.marker)] if pin.marker else [],
    )  # fmt: skip


def _licence(text: str) -> LicenseExpression | DisjunctiveLicense:
    return LicenseExpression(text) if is_accepted(text) else DisjunctiveLicense(name=text)


def _dependencies(lock: list[Pin]) -> list[Dependency]:
    refs: dict[str, list[str]] = {PROJECT: [PROJECT]}
    for pin in lock:
        refs.setdefault(pin.name, []).append(_ref(pin))
    needs: dict[str, list[Dependency]] = {ref: [] for one in refs.values() for ref in one}
    for pin in lock:
        for user in pin.via:
            for ref in refs[user]:
                needs[ref].append(Dependency(BomRef(_ref(pin))))
    return [Dependency(BomRef(ref), dependencies=used) for ref, used in needs.items()]


def _ref(pin: Pin) -> str:
    return f"{pin.name}=={pin.version}"
