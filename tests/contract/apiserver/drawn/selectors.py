"""Selectors of labels and fields over objects that change: lists, and what watches are told."""

from collections.abc import Iterator
from urllib.parse import quote

from tests.contract.apiserver.drawn import MERGE, Chance, Draw, Json

_ODD = ["a==b", "a in b", "in", "a,,b", "!", "a in (", "a>x", "a b", "=", "a=b=c", "a!in(b)", "(a)"]


class Selectors(Chance):
    def setup(self) -> Iterator[Draw]:
        yield Draw("GET", self._configmaps)

    @property
    def _configmaps(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    def draws(self, count: int) -> Iterator[Draw]:
        written = 0
        while written < count:
            for _ in range(12):
                yield self._write()
            for _ in range(8):
                yield Draw("GET", f"{self._configmaps}?{self._selection()}")
            yield Draw(
                "GET", f"{self._configmaps}?watch=1&timeoutSeconds=1&{self._selection()}&since"
            )
            written += 21

    def _write(self) -> Draw:
        name = self.pick("pqrs")
        draw = self.random.random()
        if draw < 0.4:
            return Draw(
                "POST", self._configmaps, {"metadata": {"name": name, "labels": self._labels()}}
            )
        if draw < 0.6:
            return Draw("DELETE", f"{self._configmaps}/{name}")
        labels: Json = self._labels() | {self.pick(): None}
        body = {"metadata": {"labels": labels}, "data": {"x": self.pick()}}
        return Draw("PATCH", f"{self._configmaps}/{name}", body, MERGE)

    def _labels(self) -> Json:
        return {self.pick(): self.pick("12b") for _ in range(self.random.randrange(4))}

    def _selection(self) -> str:
        if self.often(0.15):
            operator = self.pick(["=", "==", "!="])
            field = self.pick(["metadata.name", "metadata.namespace", "spec.x"])
            value = self.pick("pq") if field != "metadata.namespace" else self.namespace
            return f"fieldSelector={quote(field + operator + value)}"
        if self.often(0.1):
            return f"labelSelector={quote(self.pick(_ODD))}"
        terms = [self._term() for _ in range(self.random.randrange(1, 3))]
        return f"labelSelector={quote(','.join(terms))}"

    def _term(self) -> str:
        key = self.pick()
        match self.random.randrange(8):
            case 0:
                return key
            case 1:
                return f"!{key}"
            case 2:
                return f"{key}{self.pick(['=', '==', '!='])}{self.pick('12b')}"
            case 3:
                return f"{key} in ({self.pick('12b')},{self.pick('12b')})"
            case 4:
                return f"{key} notin ({self.pick('12b')})"
            case 5:
                return f"{key}>1"
            case 6:
                return f"{key} < 2"
            case _:
                return f" {key} = {self.pick('12b')} "
