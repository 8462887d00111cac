//! Posts to Slack.
