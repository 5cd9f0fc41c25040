"""The other side of Temporal: whatever starts or talks to workflows, and the composition roots."""
