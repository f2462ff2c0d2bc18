"""DSPy: a prediction, and ReAct with a tool. Its answers have headings of its own."""

import dspy
from cells import run, warmth


def configured(model):
    return dspy.context(lm=dspy.LM(f"openai/{model}", max_tokens=50, cache=False))


def ask(prompt, model):
    with configured(model):
        return dspy.Predict("question -> answer")(question=prompt).answer


def tools(prompt, model):
    with configured(model):
        return dspy.ReAct("question -> answer", tools=[warmth], max_iters=1)(question=prompt).answer


run("dspy", "litellm", ask=ask, tools=tools)
