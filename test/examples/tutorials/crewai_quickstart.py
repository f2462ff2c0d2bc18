"""As a beginner writes it with CrewAI: one agent, one task with a place for the question, asked twice."""

from crewai import Agent, Crew, Process, Task

clerk = Agent(
    role="Front desk",
    goal="Answer visitors of the museum",
    backstory="You know everybody's address, and stories for children.",
    llm="gpt-4o-mini",
)
answer = Task(
    description="{question}",
    expected_output="One sentence",
    agent=clerk,
)
crew = Crew(agents=[clerk], tasks=[answer], process=Process.sequential)
for question in ("Whom do I write to for a guided tour?", "Tell a bedtime story about a lighthouse in one sentence."):
    print(crew.kickoff(inputs={"question": question}))
