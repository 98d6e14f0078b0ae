"""The OpenAPI 3.1 description of one deployment, made from its signature."""

from __future__ import annotations

from typing import Any

from gateway.ports import Column, Route

_SCHEMAS: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
}


def _column(column: Column) -> dict[str, Any]:
    schema = dict(_SCHEMAS[column.type])
    if not column.required:
        schema["type"] = [schema["type"], "null"]
    return schema


def _prediction(route: Route) -> dict[str, Any]:
    if route.signature.task != "classification":
        return {"type": ["number", "null"]}
    return {"enum": list(route.signature.classes)} if route.signature.classes else {}


def describe(route: Route) -> dict[str, Any]:
    """The document as a dictionary."""
    signature = route.signature
    record = {
        "type": "object",
        "properties": {column.name: _column(column) for column in signature.columns},
        "required": [column.name for column in signature.columns if column.required],
        "additionalProperties": False,
    }
    request = {
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "records": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"$ref": "#/components/schemas/Record"},
                    }
                },
                "required": ["records"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {
                    "rows": {"type": "array", "minItems": 1, "items": {"type": "array"}},
                    "columns": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["rows"],
                "additionalProperties": False,
            },
        ]
    }
    answer: dict[str, Any] = {
        "type": "object",
        "properties": {
            "predictions": {"type": "array", "items": _prediction(route)},
            "inference_ids": {"type": "array", "items": {"type": "string", "format": "uuid"}},
            "model": {"type": "string"},
        },
        "required": ["predictions", "inference_ids", "model"],
    }
    if signature.task == "classification":
        answer["properties"]["probabilities"] = {
            "type": "array",
            "items": {"type": "array", "items": {"type": "number"}},
        }
        answer["properties"]["classes"] = {"type": "array"}
    error = {
        "description": "An error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    path = f"/serve/{route.project_slug}/{route.name}/predict"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{route.name} in {route.project_slug}",
            "version": str(route.revision),
            "description": f"Predictions of {route.model}.",
        },
        "paths": {
            path: {
                "post": {
                    "operationId": "predict",
                    "summary": f"Predict with {route.model}",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": request,
                                "example": {"records": [dict(signature.example)]},
                            }
                        },
                    },
                    "responses": {
                        "200": {
                            "description": "One prediction per record, in order",
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}
                            },
                        },
                        **dict.fromkeys(("400", "401", "403", "404", "413", "422", "503"), error),
                    },
                }
            }
        },
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "atl_…"}},
            "schemas": {
                "Record": record,
                "Answer": answer,
                "Error": {
                    "type": "object",
                    "properties": {
                        "error": {
                            "type": "object",
                            "properties": {
                                "code": {"type": "string"},
                                "message": {"type": "string"},
                                "detail": {"type": "object"},
                                "request_id": {"type": "string"},
                            },
                        }
                    },
                },
            },
        },
    }
