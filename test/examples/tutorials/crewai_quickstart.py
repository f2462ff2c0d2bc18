"""As a beginner writes it with CrewAI: two agents, two tasks, one after the other."""

from crewai import Agent, Crew, Process, Task

teller = Agent(
    role="Storyteller",
    goal="Tell stories for children",
    backstory="You grew up by the sea.",
    llm="gpt-4o-mini",
)
clerk = Agent(
    role="Front desk",
    goal="Answer visitors of the museum",
    backstory="You know everybody's address.",
    llm="gpt-4o-mini",
)
story = Task(
    description="Tell a bedtime story about a lighthouse in one sentence.",
    expected_output="One sentence",
    agent=teller,
)
address = Task(
    description="Whom do I write to for a guided tour?",
    expected_output="A name and an address",
    agent=clerk,
)
crew = Crew(agents=[teller, clerk], tasks=[story, address], process=Process.sequential)
result = crew.kickoff()
for output in result.tasks_output:
    print(output.raw)
