"""Values that have many spellings, and texts with fields that are unknown or there twice."""

import json
from collections.abc import Iterator
from typing import Any

from tests.contract.apiserver.drawn import Chance, Draw, Json

_SUFFIXES = [
    "",
    "",
    "m",
    "k",
    "M",
    "G",
    "Ki",
    "Mi",
    "Gi",
    "Ti",
    "u",
    "n",
    "e3",
    "E",
    "e-2",
    "x",
    "K",
]


class Values(Chance):
    def setup(self) -> Iterator[Draw]:
        yield Draw("GET", f"/api/v1/namespaces/{self.namespace}/configmaps")

    def draws(self, count: int) -> Iterator[Draw]:
        for _ in range(count):
            yield self._quantities() if self.often(0.5) else self._text()

    def _quantities(self) -> Draw:
        container: Json = {"name": "c", "image": "i", "resources": {}}
        amounts = {name: self._quantity() for name in self.random.sample(["cpu", "memory"], 1)}
        container["resources"][self.pick(["limits", "requests"])] = amounts
        self.maybe(container, "ports", lambda: [{"containerPort": self.pick([80, 0, 65536, "80"])}])
        probe = {"httpGet": {"port": self.pick([80, "http", "80", "h_", 0, ""])}}
        self.maybe(container, "livenessProbe", lambda: probe)
        self.maybe(container, "imagePullPolicy", lambda: self.pick(["Always", "Never", "x"]), 0.1)
        spec = {"serviceAccountName": "default", "containers": [container]}
        body = {"metadata": {"name": "p"}, "spec": spec}
        return Draw("POST", f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All", body)

    def _quantity(self) -> Any:
        number = self.pick(["0", "1", "0.5", "1.5", "100", "1024", "0.0001", "1000", "2.50", ".5"])
        number = self.pick(["", "", "", "", "+", "-"]) + number
        if self.often(0.15):
            return self.pick([1, 0, 2.5, 1024, 0.1, True, None, -1])
        return number + self.pick(_SUFFIXES)

    def _text(self) -> Draw:
        """A Deployment's JSON, damaged."""
        container = {"name": "c", "image": "i", "env": [{"name": "A", "value": "x"}]}
        template: Json = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        body: Json = {"metadata": {"name": "d"}, "spec": spec}
        for place in (body, body["metadata"], spec, template, template["spec"], container):
            self.maybe(
                place, self.pick(["odd", "Name", "kindd"]), lambda: self.pick([1, {}, "x"]), 0.1
            )
            self.maybe(
                place, self.pick(list(place)), lambda: self.pick([5, "x", [], {}, True]), 0.03
            )
        text = json.dumps(body)
        if self.often(0.3):
            text = text.replace('"image": "i"', '"image": "i", "image": "j"')
        if self.often(0.2):
            text = text.replace('"metadata": {', '"metadata": {}, "metadata": {', 1)
        if self.often(0.1):
            at = self.random.randrange(len(text))
            text = text[:at] + self.pick(["", "x", ",", "}", '"']) + text[at + 1 :]
        how = self.pick(["Strict", "Warn", "Ignore", ""])
        query = f"?dryRun=All&fieldValidation={how}" if how else "?dryRun=All"
        return Draw("POST", f"/apis/apps/v1/namespaces/{self.namespace}/deployments{query}", text)
