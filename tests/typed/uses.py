"""What users write, for the type checker alone: it is never run."""

# ruff: noqa: T201, E402

# 1. A script: tables to a trained model
import astra

arenas = astra.make_arenas("examples/world", count=2000, max_hops=3, out="runs/world")
rows = arenas.split("train").export("runs/sft.jsonl", format="sft")
sft = astra.train_sft(dataset=rows, model="Qwen/Qwen3-0.6B", out="runs/sft")
rl = astra.train_rl(arenas=arenas, model=sft.model, out="runs/rl", max_steps=200)
before = astra.evaluate(arenas, model=sft.model, samples=4, temperature=1.0)
after = astra.evaluate(arenas, model=rl.model, samples=4, temperature=1.0)
print(astra.compare(before, after))

# 2. A notebook
some = astra.make_arenas("sales.csv", count=50)
some.to_pandas()[["question", "hops", "split"]].head()
print(some.filter(lambda arena: arena.hops >= 3)[0])
astra.evaluate(some, policy="shuffled", split="all").to_pandas()

# 3. A loop of one's own, with any client
from openai import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1", api_key="none")
with astra.ArenaEnvironment(arenas[0]) as env:
    state = env.reset()
    while not state.done:
        reply = client.chat.completions.create(
            model="qwen", messages=state.messages, tools=state.tools
        )
        state = env.step(reply.choices[0].message)
    print(env.score().f1)

# RL of one's own: groups, advantages, update
import torch

model = astra.LocalModel("runs/sft/final", max_length=4096)
optimizer = torch.optim.AdamW(model.module.parameters(), lr=1e-6)
for step in range(100):
    batch = arenas.split("train").sample(16, seed=step)
    for group in astra.rollout_groups(batch, model, group_size=8, temperature=1.0, seed=step):
        rewards = torch.tensor([episode.reward for episode in group])
        for episode, advantage in zip(group, rewards - rewards.mean(), strict=True):
            (-advantage * model.logprobs(episode).mean() / (16 * 8)).backward()
    optimizer.step()
    optimizer.zero_grad()


# 4. Tools of one's own
def list_events(day: str) -> list[str]:
    """Titles of a day's events.

    Args:
        day: ISO date, e.g. 2026-11-28.
    """
    return ["Dentist"]


calendar = astra.FunctionHost([list_events])
gpt = astra.OpenAIModel("gpt-5-mini", "https://api.openai.com/v1", api_key="…")
print(astra.rollout("What is on today, 2026-11-28?", gpt, calendar).trajectory.answer)


# 5. A reward of one's own
def concise(arena: astra.Arena, trajectory: astra.Trajectory) -> float:
    wasted = len(trajectory.calls) - len(arena.goals)
    return astra.score(arena, trajectory).f1 - 0.02 * max(0, wasted)


astra.train_rl(arenas="runs/world", model="runs/sft/final", out="runs/concise", reward=concise)

# 6. An algorithm of one's own
from astra.training import Credit, ScoredBatch


class LeaveOneOut:
    name = "rloo"

    def credit(self, batch: ScoredBatch, policy: object) -> Credit:
        size_B = batch.group_size_B()
        others_B = (batch.group_mean_B(batch.rewards_B) * size_B - batch.rewards_B) / (size_B - 1)
        return Credit.per_episode(batch, batch.rewards_B - others_B)


astra.train_rl(
    arenas="runs/world", model="runs/sft/final", out="runs/rloo", algorithm=LeaveOneOut()
)
