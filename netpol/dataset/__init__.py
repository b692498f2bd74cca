"""What observers recorded, in files: takes partial connections and names as nodes saw them, yields them to any command.

`window.Window` is what one observer saw in one minute; `window_codec` writes it down and reads it back, from whoever
sent it. `folder.Dataset` keeps windows in a folder that many may write to and read from at once.
"""
