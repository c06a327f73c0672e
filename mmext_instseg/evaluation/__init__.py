from .class_agnostic import ClassAgnosticCocoMetric

__all__ = ['ClassAgnosticCocoMetric']
