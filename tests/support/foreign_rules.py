"""Other people's rules for files: those of MegaDetector's validator, and of Camtrap DP by frictionless."""

import json
from pathlib import Path
from typing import Any

_VIDEOS = (".mp4", ".avi", ".mpeg", ".mpg", ".mov", ".mkv", ".flv")


def broken_rules(content: dict[str, Any]) -> list[str]:
    """What MegaDetector's validator, and its description of the format, find wrong in results."""
    wrong = [f"no {name}" for name in ("info", "detection_categories", "images") if name not in content]
    if wrong:
        return wrong
    if not isinstance(content["info"].get("format_version"), str):
        wrong.append("format_version is no string")
    wrong += _wrong_categories(content, "detection_categories")
    wrong += _wrong_categories(content, "classification_categories")
    described = content.get("classification_category_descriptions")
    if described is not None and set(described) != set(content.get("classification_categories", {})):
        wrong.append("descriptions have other ids")
    kinds, species = set(content["detection_categories"]), set(content.get("classification_categories", {}))
    for item in content["images"]:
        wrong += [f"{item.get('file')}: {found}" for found in _wrong_item(item, kinds, species)]
    return wrong


def _wrong_categories(content: dict[str, Any], name: str) -> list[str]:
    categories = content.get(name, {})
    wrong = [f"{name}: id {key!r}" for key in categories if not (isinstance(key, str) and key.isdigit())]
    return wrong + [f"{name}: blank name" for each in categories.values() if not str(each).strip()]


def _wrong_item(item: dict[str, Any], kinds: set[str], species: set[str]) -> list[str]:
    name = item.get("file")
    if not isinstance(name, str) or not name:
        return ["no file"]
    wrong = ["backslash or absolute"] if "\\" in name or name.startswith("/") else []
    found, failed = item.get("detections"), "failure" in item
    if failed and found is not None:
        wrong.append("detections with a failure")
    if not failed and not isinstance(found, list):
        wrong.append("no detections without a failure")
    if failed and not (isinstance(item["failure"], str) and item["failure"]):
        wrong.append("failure is no text")
    video = name.lower().endswith(_VIDEOS)
    if video:
        rate, frames = item.get("frame_rate"), item.get("frames_processed")
        if not isinstance(rate, int | float) or (not failed and rate <= 0):
            wrong.append(f"frame_rate {rate}")
        if not isinstance(frames, list) or not all(type(each) is int for each in frames):
            wrong.append(f"frames_processed {frames}")
    for each in found or []:
        wrong += _wrong_detection(each, kinds, species, video)
    return wrong


def _wrong_detection(each: dict[str, Any], kinds: set[str], species: set[str], video: bool) -> list[str]:
    wrong = [] if each.get("category") in kinds else ["unknown category"]
    if type(each.get("conf")) is not float or not 0 <= each["conf"] <= 1:
        wrong.append(f"conf {each.get('conf')!r}")
    box = each.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(0 <= number <= 1 for number in box):
        wrong.append(f"bbox {box}")
    if video and (type(each.get("frame_number")) is not int or each["frame_number"] < 0):
        wrong.append(f"frame_number {each.get('frame_number')!r}")
    pairs = each.get("classifications", [])
    if any(pair[0] not in species for pair in pairs):
        wrong.append("unknown classification")
    if [pair[1] for pair in pairs] != sorted((pair[1] for pair in pairs), reverse=True):
        wrong.append("classifications out of order")
    return wrong


def package_errors(package: Path, standard: Path) -> list[str]:
    """What frictionless and the standard's profile find wrong in a package, without a network.

    Args:
        package: folder of it.
        standard: folder of the standard's schemas and profile.
    """
    import frictionless
    import jsonschema
    import referencing

    descriptor = json.loads((package / "datapackage.json").read_text(encoding="utf-8"))
    profile = json.loads((standard / "camtrap-dp-profile.json").read_text(encoding="utf-8"))
    anything = referencing.Registry(retrieve=lambda uri: referencing.Resource({}, referencing.jsonschema.DRAFT7))  # type: ignore[call-arg]
    checker = jsonschema.Draft7Validator(profile, registry=anything)
    errors = [f"{'/'.join(map(str, each.absolute_path))}: {each.message}" for each in checker.iter_errors(descriptor)]
    del descriptor["profile"]
    for resource in descriptor["resources"]:
        if resource["name"] in ("deployments", "media", "observations"):
            schema = standard / f"{resource['name']}-table-schema.json"
            resource["schema"] = json.loads(schema.read_text(encoding="utf-8"))
    report = frictionless.Package.from_descriptor(descriptor, basepath=str(package)).validate()
    tables = [(task.name, each) for task in report.tasks for each in task.errors]
    errors += [f"{name}: {each.message}" for name, each in tables]
    return errors + [str(each.message) for each in report.errors]
