# What every room shares: the LLVM packages, the language, and three functions.

find_package(MLIR 22.1 REQUIRED CONFIG)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

# Debian's exported MLIR archives name the target LLVM, which is libLLVM.so.
# Linking that beside an LLVM archive registers every option twice and aborts at
# start, so the name is dropped and each tool lists the archives it wants.
foreach(target IN LISTS MLIR_EXPORTED_TARGETS)
  get_target_property(links ${target} INTERFACE_LINK_LIBRARIES)
  if(links)
    list(REMOVE_ITEM links LLVM)
    set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${links}")
  endif()
endforeach()
llvm_map_components_to_libnames(BB_LLVM_CORE support core)
llvm_map_components_to_libnames(BB_LLVM_CODEGEN
  core support passes frontendopenmp target
  nvptxcodegen nvptxdesc nvptxinfo x86codegen x86desc x86info)

find_package(fmt REQUIRED)
find_package(FlatBuffers REQUIRED CONFIG NAMES FlatBuffers flatbuffers)
find_package(zstd REQUIRED CONFIG)
find_package(Threads REQUIRED)
find_library(BB_XXHASH NAMES libxxhash.a xxhash REQUIRED)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_CXX_FLAGS_RELEASE "-O2")

include_directories(${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
add_compile_options(-Wall -Wextra -Wno-unused-parameter -fcolor-diagnostics)
if(BB_WERROR)
  add_compile_options(-Werror)
endif()
if(BB_SANITIZE)
  add_compile_options(-fsanitize=${BB_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BB_SANITIZE})
endif()
add_link_options(-fuse-ld=lld-22 -Wl,--gc-sections -Wl,--as-needed)
add_compile_options(-ffunction-sections -fdata-sections)

# One precompiled header serves every library and tool that speaks MLIR.
add_library(BBMlirHeaders STATIC ${PROJECT_SOURCE_DIR}/tools/cmake/pch.cpp)
target_include_directories(BBMlirHeaders SYSTEM PRIVATE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
separate_arguments(BB_LLVM_DEFINITIONS NATIVE_COMMAND ${LLVM_DEFINITIONS})
target_compile_definitions(BBMlirHeaders PRIVATE ${BB_LLVM_DEFINITIONS})
target_precompile_headers(BBMlirHeaders PRIVATE ${PROJECT_SOURCE_DIR}/tools/cmake/pch.h)
# Without time stamps the header is the same in every checkout, and ccache may
# share what was built on it.
target_compile_options(BBMlirHeaders PRIVATE "SHELL:-Xclang -fno-pch-timestamp")

# bb_mlir(TARGET): the include paths, definitions and precompiled header.
function(bb_mlir name)
  target_include_directories(${name} SYSTEM PRIVATE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE ${BB_LLVM_DEFINITIONS})
  target_precompile_headers(${name} REUSE_FROM BBMlirHeaders)
endfunction()

# bb_library(NAME SOURCES ... [DEPENDS tablegen ...] [LINKS lib ...]): a room of
# the compiler half.
function(bb_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  bb_mlir(${name})
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
endfunction()

# bb_tool(NAME SOURCES ... LINKS lib ...): a main of the compiler half.
function(bb_tool name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  bb_mlir(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS})
endfunction()

# bb_runtime_library(NAME SOURCES ... [LINKS lib ...]): a room of the runtime
# half. No LLVM header is in reach.
function(bb_runtime_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
endfunction()
