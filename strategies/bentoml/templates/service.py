import sys
from typing import Any

import bentoml

sys.path.insert(0, "{sdk}")
import caged_agent


@bentoml.service(name="{name}", traffic={"timeout": 600})
class CagedAgent:
    @bentoml.api
    def run(self, inputs: Any) -> Any:
        return caged_agent.call(inputs)
