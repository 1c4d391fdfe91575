"""Replies of language models, in the words of the vendors' references."""

from __future__ import annotations

from typing import Any

URLS = {
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "ollama": "http://127.0.0.1:11434",
    "bedrock": "https://bedrock-runtime.eu-west-1.amazonaws.com",
}


def anthropic(text: str, stop: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 120, "output_tokens": 4},
    }


def gemini(text: str, stop: str = "STOP") -> dict[str, Any]:
    parts = [{"text": "hmm", "thought": True}, {"text": text}] if text else []
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": stop, "index": 0}],
        "usageMetadata": {"promptTokenCount": 120, "candidatesTokenCount": 4, "totalTokenCount": 124},
        "modelVersion": "gemini-test-1",
        "responseId": "r1",
    }


def ollama(text: str, stop: str = "stop") -> dict[str, Any]:
    return {
        "model": "llava-test",
        "created_at": "2026-11-30T12:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": stop,
        "prompt_eval_count": 120,
        "eval_count": 4,
    }


def bedrock(text: str, stop: str = "end_turn") -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}] if text else []}},
        "stopReason": stop,
        "usage": {"inputTokens": 120, "outputTokens": 4, "totalTokens": 124},
        "metrics": {"latencyMs": 5},
    }


REPLIES = {"anthropic": anthropic, "gemini": gemini, "ollama": ollama, "bedrock": bedrock}
CUT = {"anthropic": "max_tokens", "gemini": "MAX_TOKENS", "ollama": "length", "bedrock": "max_tokens"}
REFUSED = {"anthropic": "refusal", "gemini": "SAFETY", "bedrock": "content_filtered"}
IDENTITY = {
    "anthropic": {"model": "claude-test-1"},
    "gemini": {"version": "gemini-test-1"},
    "ollama": {"model": "llava-test"},
    "bedrock": {},
}
