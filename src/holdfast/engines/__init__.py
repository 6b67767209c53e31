"""The engines that come with Holdfast. They know nothing of saving: they announce what they do (holdfast.events)."""
