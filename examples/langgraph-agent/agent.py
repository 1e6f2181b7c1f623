"""Answers a question about orders: python agent.py "Was order 1042 paid?". Its identity is the JWT-SVID in $AGENT_TOKEN_FILE."""

import json
import os
import sys
import urllib.request
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

BASE = os.environ.get("COUNTERSIGN_URL", "http://127.0.0.1:7420")


def svid() -> str:
    """Read anew for each call: an SVID lives for minutes."""
    return Path(os.environ.get("AGENT_TOKEN_FILE", "agent.jwt")).read_text().strip()


def call(path: str, body: dict | None = None) -> str:
    """A GET, or a POST of JSON; a refusal is text too, and says what may be done about it."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {svid()}", "content-type": "application/json"}
    request = urllib.request.Request(BASE + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.read().decode()


def main(question: str) -> None:
    task = json.loads(call("/.countersign/v1/tasks", {"purpose": f"answer: {question}"[:500], "ttl": "5m"}))["id"]

    @tool
    def read_order(id: str) -> str:
        """Reads one order."""
        return call(f"/t/{task}/crm/orders/{id}")

    # the task rides in the base URL; the real key is put in by Countersign
    model = ChatOpenAI(
        model=os.environ.get("MODEL", "gpt-5-mini"), base_url=f"{BASE}/t/{task}/openai/v1", api_key=svid
    ).bind_tools([read_order])

    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([read_order]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END, ["tools", END])
    graph.add_edge("tools", "model")
    try:
        answer = graph.compile().invoke({"messages": [HumanMessage(question)]}, {"recursion_limit": 10})
        print(answer["messages"][-1].content)
    finally:
        call(f"/.countersign/v1/tasks/{task}/complete", {})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "Was order 1042 paid?")
