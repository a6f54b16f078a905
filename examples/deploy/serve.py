"""A network that `cktat export --to onnx` wrote, behind HTTP. Neither PyTorch nor cktat is needed where it runs.

pip install onnxruntime fastapi uvicorn pillow
NETWORK=network.onnx uvicorn serve:app
curl --data-binary @cat.jpg http://127.0.0.1:8000/predict
"""

import io
import json
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException, Request
from PIL import Image, ImageOps

MOST_BYTES = 2**24  # of a request
Image.MAX_IMAGE_PIXELS = 2**25  # a small file can unpack to a large image; Pillow refuses twice as many

session = onnxruntime.InferenceSession(os.environ["NETWORK"], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
classes, (channels, height, width) = json.loads(about["classes"]), json.loads(about["size"])
app = FastAPI()


@app.post("/predict")
async def predict(request: Request):
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            raise HTTPException(413, f"an image may have {MOST_BYTES:,} bytes")
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB" if channels == 3 else "L")
    except Exception:  # Pillow raises many kinds for what is no image
        raise HTTPException(400, "this is no image that Pillow reads") from None
    image = ImageOps.fit(image, (width, height), method=Image.Resampling.BILINEAR)  # as in training
    x = np.asarray(image, dtype=np.float32).reshape(1, height, width, channels).transpose(0, 3, 1, 2) / 255
    logits = session.run(["logits"], {"images": x})[0][0].astype(float)
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    return {"class": classes[int(shares.argmax())], "probabilities": dict(zip(classes, shares.tolist(), strict=True))}
