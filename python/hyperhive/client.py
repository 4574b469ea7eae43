"""`HiveClient`: the operator's side of a hive as a Python library. `docs/client.md` is its guide.

One method a route of the operator API, each with a typed answer. It speaks over the hive's own socket, where whoever
may connect is the operator, or over TCP with the operator's token.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from hyperhive import shapes
from hyperhive.answer import wait_for_answer
from hyperhive.connection import Connection, part_of_path
from hyperhive.names import parse_agent_name
from hyperhive.wire import LooseEndsAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path


class HiveClient:
    """The operator of one hive; use it as an async context manager.

    Every method raises `HiveError`: what the hive answered, or `no_daemon` when none answers.

    Args:
        socket: the hive's `host.sock`; without one, and without `url`, the same one as the CLI finds.
        url: address of the dashboard instead; what `hyperhive dashboard-url` prints brings its token.
        token: the operator's token for `url`.
    """

    def __init__(self, socket: Path | None = None, *, url: str | None = None, token: str | None = None) -> None:
        self._line = Connection(socket, url=url, token=token)

    async def __aenter__(self) -> Self:
        """Be ready; nothing is sent yet."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close every connection."""
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._line.close()

    # --- the whole

    async def healthz(self) -> bool:
        """Whether the hive serves; False where it says that it does not."""
        answer = await self._line.get("/healthz")
        return answer.get("ok", True) is not False

    async def state(self) -> shapes.StateSnapshot:
        """Everything at one instant; `stream(since=state.seq, epoch=state.epoch)` goes on from there."""
        return shapes.StateSnapshot.model_validate(await self._line.get("/api/state"))

    async def stream(
        self, since: int | None = None, epoch: str | None = None
    ) -> AsyncGenerator[shapes.StreamEvent, None]:
        """Changes as they come, from after `since` of `epoch`, or from now; ends or fails when the hive does.

        A change of type `resync` says that some were missed: read `state()` again.
        """
        async with aclosing(self._line.stream(since, epoch)) as changes:
            async for change in changes:
                yield shapes.StreamEvent.model_validate(change)

    async def follow(
        self, since: int | None = None, epoch: str | None = None, *, on_away: Callable[[], None] | None = None
    ) -> AsyncGenerator[shapes.StreamEvent, None]:
        """Like `stream`, but comes back when the hive does; calls `on_away` each time that it is gone."""
        async with aclosing(self._line.follow(since, epoch, on_away=on_away)) as changes:
            async for change in changes:
                yield shapes.StreamEvent.model_validate(change)

    async def reconcile(self) -> shapes.ReconcileAnswer:
        """Bring the agents to what is wanted for them, and say what that took."""
        return shapes.ReconcileAnswer.model_validate(await self._line.post("/api/reconcile"))

    async def operations(self) -> list[shapes.OperationRow]:
        """What is queued, what runs and what has ended since the hive's start, newest first."""
        return shapes.OperationsAnswer.model_validate(await self._line.get("/api/operations")).operations

    async def waiting(self) -> list[shapes.WaitingItem]:
        """What waits for the operator, oldest first."""
        return shapes.WaitingAnswer.model_validate(await self._line.get("/api/waiting")).waiting

    async def dismiss(self, item: str) -> None:
        """Take a crash off the list of what waits for the operator, by its id."""
        await self._line.post(f"/api/waiting/{part_of_path(item)}/dismiss")

    async def audit(self, *, before: int | None = None, limit: int = 100) -> list[shapes.AuditRow]:
        """Who decided what, newest first."""
        answer = await self._line.get("/api/audit", before=before, limit=limit)
        return shapes.AuditAnswer.model_validate(answer).audit

    async def usage(self, *, days: int | None = None, agent: str | None = None) -> shapes.UsageAnswer:
        """What was used by day, agent and model, newest day first; of one agent, or of all.

        Args:
            days: of so many days, today included.
            agent: of this one alone.
        """
        return shapes.UsageAnswer.model_validate(await self._line.get("/api/usage", days=days, agent=agent))

    async def set_budget(self, name: str | None = None, **today: float | None) -> shapes.BudgetRow | None:
        """Allow an agent, or the hive, something else until midnight: `usd`, `tokens`, `turns`; None is as declared.

        Returns:
            How the budget stands now, None where there is none.
        """
        path = "/api/budget" if name is None else f"{_agent(name)}/budget"
        return shapes.BudgetAnswer.model_validate(await self._line.post(path, {"today": today})).budget

    async def metrics(self) -> str:
        """The hive's figures in Prometheus' text format."""
        return await self._line.text("/metrics")

    async def dashboard_url(self, name: str | None = None) -> str:
        """The address of the dashboard, or of one agent's page, with its token. Treat it like a password."""
        path = "/api/dashboard-url" if name is None else f"{_agent(name)}/page-url"
        return shapes.PageUrl.model_validate(await self._line.get(path)).url

    # --- agents

    async def agents(self) -> list[shapes.AgentRow]:
        """All agents."""
        return shapes.AgentsAnswer.model_validate(await self._line.get("/api/agents")).agents

    async def agent(self, name: str) -> shapes.AgentRow:
        """One agent."""
        return shapes.AgentRow.model_validate(await self._line.get(_agent(name)))

    async def start(self, name: str) -> shapes.OperationRow:
        """Start an agent; like whatever answers with an operation, returns after at most about 5 s, see `operation`."""
        return await self._do(name, "start")

    async def stop(self, name: str) -> shapes.OperationRow:
        """Stop an agent; a running turn may end first."""
        return await self._do(name, "stop")

    async def restart(self, name: str) -> shapes.OperationRow:
        """Stop and start an agent."""
        return await self._do(name, "restart")

    async def rebuild(self, name: str) -> shapes.OperationRow:
        """Stop an agent, make what it runs in anew and start it; login, notes and shared files stay."""
        return await self._do(name, "rebuild")

    async def pause(self, name: str) -> shapes.OperationRow:
        """Give an agent no more messages; a running turn ends first, and what is sent waits."""
        return await self._do(name, "pause")

    async def resume(self, name: str) -> shapes.OperationRow:
        """End an agent's pause."""
        return await self._do(name, "resume")

    async def destroy(self, name: str) -> shapes.OperationRow:
        """Remove what an agent runs in; login and notes stay as a tombstone."""
        return await self._do(name, "destroy")

    async def kick(self, name: str) -> shapes.OperationRow:
        """Wake an agent with a message of the hive that tells it to look at its notes."""
        return await self._do(name, "kick")

    async def cancel(self, name: str) -> shapes.OperationRow:
        """Interrupt the running turn of an agent."""
        return await self._do(name, "cancel")

    async def model(self, name: str, model: str) -> shapes.OperationRow:
        """Let an agent use another model from its next turn on, until its settings name another one."""
        answer = await self._line.post(f"{_agent(name)}/model", {"model": model})
        return shapes.OperationRow.model_validate(answer)

    async def compact(self, name: str) -> shapes.OperationRow:
        """Let Claude shorten an agent's conversation; refused while a turn runs."""
        return await self._do(name, "compact")

    async def new_session(self, name: str) -> shapes.OperationRow:
        """Give an agent's conversation up, so that its next turn begins another; refused while a turn runs."""
        return await self._do(name, "new-session")

    async def login_start(self, name: str) -> None:
        """Begin to sign an agent's Claude in; what follows stands in `login` of its row: first the link to open."""
        await self._line.post(f"{_agent(name)}/login/start")

    async def login_code(self, name: str, code: str) -> None:
        """Give the code that the page behind the link has shown."""
        await self._line.post(f"{_agent(name)}/login/code", {"code": code})

    async def login_cancel(self, name: str) -> None:
        """End a sign-in that was begun."""
        await self._line.post(f"{_agent(name)}/login/cancel")

    async def spawn(
        self, name: str, *, description: str | None = None, model: str | None = None, prompt: str | None = None
    ) -> shapes.OperationRow:
        """Make an agent at run time and start it.

        Args:
            name: what it is called; the name must be free.
            description: what it is for, in a sentence.
            model: its model; by default that of the settings.
            prompt: what it is told beside its name and the rules of the hive.
        """
        order = shapes.SpawnOrder(name=parse_agent_name(name), description=description, model=model, prompt=prompt)
        body = order.model_dump(mode="json", exclude_none=True)
        return shapes.OperationRow.model_validate(await self._line.post("/api/agents", body))

    async def operation(self, number: int) -> shapes.OperationRow:
        """What became of an operation; `done` and `failed` are ends."""
        return shapes.OperationRow.model_validate(await self._line.get(f"/api/operations/{number}"))

    async def events(self, name: str, *, limit: int | None = None, before: int | None = None) -> list[shapes.EventRow]:
        """What happened in an agent's turns, newest first."""
        answer = await self._line.get(f"{_agent(name)}/events", limit=limit, before=before)
        return shapes.EventsAnswer.model_validate(answer).events

    async def journal(self, name: str, *, lines: int | None = None) -> list[str]:
        """The last lines that an agent's harness printed, oldest first."""
        answer = await self._line.get(f"{_agent(name)}/journal", lines=lines)
        return shapes.JournalAnswer.model_validate(answer).lines

    # --- tombstones

    async def config(self, name: str) -> shapes.ConfigAnswer:
        """The files of the configuration that an agent runs on, as git has them, and what they build upon."""
        return shapes.ConfigAnswer.model_validate(await self._line.get(f"{_agent(name)}/config"))

    async def tombstones(self) -> list[shapes.TombstoneRow]:
        """Agents that are no more, and what is kept of each, by name."""
        return shapes.TombstonesAnswer.model_validate(await self._line.get("/api/tombstones")).tombstones

    async def revive(self, name: str) -> shapes.OperationRow:
        """Make an agent of a tombstone, with everything that was kept, and start it."""
        answer = await self._line.post(f"{_tombstone(name)}/revive")
        return shapes.OperationRow.model_validate(answer)

    async def purge(self, name: str) -> shapes.OperationRow:
        """Wipe what was kept of a tombstone; nothing brings it back, and what waits for it becomes dead letters."""
        answer = await self._line.post(f"{_tombstone(name)}/purge", {"name": name})
        return shapes.OperationRow.model_validate(answer)

    # --- messages

    async def send(
        self, to: str, body: str, *, in_reply_to: int | None = None, idempotency_key: str | None = None
    ) -> shapes.Sent:
        """Send a message as the operator; when this returns it is on disk.

        Args:
            to: an agent, or `*` for all of them.
            body: up to 64 KiB of text.
            in_reply_to: id of the message that this answers.
            idempotency_key: the same key again gives the same message, not a second one.
        """
        message: dict[str, Any] = {"to": to, "body": body}
        if in_reply_to is not None:
            message["inReplyTo"] = in_reply_to
        if idempotency_key is not None:
            message["idempotencyKey"] = idempotency_key
        return shapes.Sent.model_validate(await self._line.post("/api/messages", message))

    async def messages(
        self,
        *,
        agent: str | None = None,
        sender: str | None = None,
        to: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[shapes.MessageRow]:
        """Messages, newest first.

        Args:
            agent: of or to this agent.
            sender: of this sender.
            to: to this recipient.
            before: with smaller ids than this.
            limit: at most so many.
        """
        query = {"agent": agent, "from": sender, "to": to, "before": before, "limit": limit}
        return await self._messages("/api/messages", **query)

    async def inbox(self) -> list[shapes.MessageRow]:
        """What waits for the operator, newest first."""
        return await self._messages("/api/inbox")

    async def ack(self, ids: Sequence[int]) -> list[int]:
        """Take messages out of the operator's inbox; returns those that were in it."""
        answer = await self._line.post("/api/inbox/ack", {"ids": list(ids)})
        return shapes.AckAnswer.model_validate(answer).acked

    async def dead_letters(self) -> list[shapes.MessageRow]:
        """Messages that failed too often, newest first."""
        return await self._messages("/api/dead-letters")

    async def requeue(self, number: int) -> None:
        """Let a dead letter wait again."""
        await self._line.post(f"/api/dead-letters/{number}/requeue")

    async def discard(self, number: int) -> None:
        """Give a dead letter up."""
        await self._line.post(f"/api/dead-letters/{number}/discard")

    # --- questions of agents

    async def questions(self, *, status: str | None = None, limit: int | None = None) -> list[shapes.QuestionRow]:
        """What agents have asked, newest first.

        Args:
            status: only those that are `open`, `answered`, `cancelled` or `expired`.
            limit: at most so many.
        """
        answer = await self._line.get("/api/questions", status=status, limit=limit)
        return shapes.QuestionsAnswer.model_validate(answer).questions

    async def answer(self, number: int, text: str = "", *, choices: Sequence[str] = ()) -> shapes.QuestionRow:
        """Answer a question, whoever was asked; the answer reaches its asker as a message.

        Args:
            number: the question's id.
            text: the answer, or a remark on the choices.
            choices: options of the question; one, unless it takes several.
        """
        body = {"choices": list(choices), "text": text}
        return shapes.QuestionRow.model_validate(await self._line.post(f"/api/questions/{number}/answer", body))

    async def cancel_question(self, number: int) -> shapes.QuestionRow:
        """Cancel a question; its asker is told."""
        return shapes.QuestionRow.model_validate(await self._line.post(f"/api/questions/{number}/cancel"))

    # --- what needs the operator's yes

    async def approvals(
        self, *, status: str | None = None, agent: str | None = None, limit: int | None = None
    ) -> list[shapes.ApprovalRow]:
        """What was asked for, newest first, with the beginning of long diffs and logs.

        Args:
            status: only those in this state, for example `pending`; `open` are all that are not over.
            agent: only those about this agent.
            limit: at most so many.
        """
        answer = await self._line.get("/api/approvals", status=status, agent=agent, limit=limit)
        return shapes.ApprovalsAnswer.model_validate(answer).approvals

    async def approval(self, number: int) -> shapes.ApprovalRow:
        """One of them, whole."""
        return shapes.ApprovalRow.model_validate(await self._line.get(f"/api/approvals/{number}"))

    async def approval_log(self, number: int) -> str:
        """All that the builder said of a proposal; it is in no answer whole."""
        return await self._line.text(f"/api/approvals/{number}/log")

    async def approve(self, number: int, *, commit: str | None = None, reason: str | None = None) -> shapes.ApprovalRow:
        """Say yes; what was approved is carried out from then on, and becomes `deployed` or `failed`.

        Args:
            number: the approval's id.
            commit: of an `apply`, `commit` of the row that you have looked at.
            reason: why, for the audit log.
        """
        body = {key: value for key, value in (("commit", commit), ("reason", reason)) if value is not None}
        return shapes.ApprovalRow.model_validate(await self._line.post(f"/api/approvals/{number}/approve", body))

    async def deny(self, number: int, reason: str | None = None) -> shapes.ApprovalRow:
        """Say no; whoever asked is told why."""
        body = {} if reason is None else {"reason": reason}
        return shapes.ApprovalRow.model_validate(await self._line.post(f"/api/approvals/{number}/deny", body))

    async def cancel_approval(self, number: int) -> shapes.ApprovalRow:
        """Take back what the operator has asked for."""
        return shapes.ApprovalRow.model_validate(await self._line.post(f"/api/approvals/{number}/cancel"))

    async def request_spawn(
        self, name: str, *, description: str | None = None, model: str | None = None, prompt: str | None = None
    ) -> shapes.ApprovalRow:
        """Ask for a new agent, to be decided like a request of the manager."""
        spec = {"name": name, "description": description, "model": model, "prompt": prompt}
        body = {key: value for key, value in spec.items() if value is not None}
        return shapes.ApprovalRow.model_validate(await self._line.post("/api/spawn-requests", body))

    # --- reminders and what else is open

    async def reminders(
        self, *, status: str | None = None, agent: str | None = None, limit: int | None = None
    ) -> shapes.RemindersAnswer:
        """What agents will be reminded of, newest first, and the schedules that the settings declare.

        Args:
            status: only reminders that are `pending`, `fired` or `cancelled`.
            agent: only of this agent.
            limit: at most so many reminders.
        """
        answer = await self._line.get("/api/reminders", status=status, agent=agent, limit=limit)
        return shapes.RemindersAnswer.model_validate(answer)

    async def cancel_reminder(self, number: int) -> shapes.ReminderRow:
        """Cancel a reminder of an agent; it is not told."""
        return shapes.ReminderRow.model_validate(await self._line.delete(f"/api/reminders/{number}"))

    async def loose_ends(self, name: str) -> LooseEndsAnswer:
        """What an agent has open: questions both ways, requests, reminders, unread messages."""
        return LooseEndsAnswer.model_validate(await self._line.get(f"{_agent(name)}/loose-ends"))

    # --- a task and its answer

    async def ask(self, to: str, body: str, *, timeout: float | None = None) -> shapes.MessageRow:  # noqa: ASYNC109
        """Send an agent a task and wait for its answer, which is taken out of the inbox.

        The answer is its reply to our message, or else its next message to the operator that replies to no other.

        Raises:
            TimeoutError: no answer within `timeout` seconds. The task stays with the agent.
            HiveError: `operation_failed` when the task became a dead letter.
        """
        snapshot = await self.state()
        sent = await self.send(to, body)
        try:
            async with asyncio.timeout(timeout):
                answer = await wait_for_answer(self, to, sent.id, snapshot)
        except TimeoutError:
            msg = f"'{to}' has not answered message {sent.id} within {timeout:g} s"
            raise TimeoutError(msg) from None
        await self.ack([answer.id])
        return answer

    async def _messages(self, path: str, **query: object) -> list[shapes.MessageRow]:
        return shapes.MessagesAnswer.model_validate(await self._line.get(path, **query)).messages

    async def _do(self, name: str, action: str) -> shapes.OperationRow:
        return shapes.OperationRow.model_validate(await self._line.post(f"{_agent(name)}/{action}"))


def _agent(name: str) -> str:
    return f"/api/agents/{parse_agent_name(name)}"


def _tombstone(name: str) -> str:
    return f"/api/tombstones/{parse_agent_name(name)}"
