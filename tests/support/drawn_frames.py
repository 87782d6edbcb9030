"""Arguments of ffmpeg for frames that it draws itself and shows in real time: a decoder as slow as one likes."""


def drawn_frames(moment: str, count: int, *, behind: str = "") -> list[str]:
    """`count` frames, the time of each of which is the expression `moment` (of N, PTS and TB).

    `behind` are further filters behind the one that logs every frame.
    """
    graph = f"testsrc=size=64x48:rate=25:duration={count / 25},setpts='{moment}',realtime=limit=9000,format=rgb24"
    graph += f",showinfo@sampled=checksum=0{behind}"
    return ["-f", "lavfi", "-i", graph, "-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
