"""Does what SageMaker's XGBoost container does with a training job in script mode, as far as train.py sees it: container.py JOB.json

It fetches programs and channels with the AWS CLI ($REAL_AWS), runs the program with the hyper-parameters as flags, and puts
model.tar.gz and output.tar.gz where SageMaker puts them.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile

with open(sys.argv[1], encoding="utf-8") as f:
    job = json.load(f)
parameters = job["HyperParameters"]
channel = job["InputDataConfig"][0]


def s3(*args):
    subprocess.run([os.environ["REAL_AWS"], "s3", "cp", "--only-show-errors", *args], check=True)


with tempfile.TemporaryDirectory() as work:
    folder = {name: os.path.join(work, name) for name in ("code", "input", "model", "output")}
    for path in folder.values():
        os.mkdir(path)
    archive = os.path.join(work, "sourcedir.tar.gz")
    s3(parameters["sagemaker_submit_directory"], archive)
    with tarfile.open(archive) as programs:
        programs.extractall(folder["code"], filter="data")
    s3("--recursive", channel["DataSource"]["S3DataSource"]["S3Uri"], folder["input"])
    flags = [word for name, value in sorted(parameters.items()) if not name.startswith("sagemaker_") for word in ("--" + name, value)]
    own = {"SM_CHANNEL_" + channel["ChannelName"].upper(): folder["input"], "SM_MODEL_DIR": folder["model"], "SM_OUTPUT_DATA_DIR": folder["output"]}
    subprocess.run([sys.executable, "-B", parameters["sagemaker_program"], *flags], cwd=folder["code"], env=os.environ | own, check=True)
    for name in ("model", "output"):
        path = os.path.join(work, name + ".tar.gz")
        with tarfile.open(path, "w:gz") as made:
            for file in sorted(os.listdir(folder[name])):
                made.add(os.path.join(folder[name], file), file)
        s3(path, f"{job['OutputDataConfig']['S3OutputPath']}{job['TrainingJobName']}/output/{name}.tar.gz")
